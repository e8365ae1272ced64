"""The counts of this process and the figures of the database in Prometheus' text format. Imported at the first ask."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Metric, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from app import __version__
from app.db.figures import Figures
from app.db.totals import OPERATED, RECOVERED, UNCOUNTED
from app.domain.job import JobKind
from app.domain.measures import REPEATED, STORED, Histogram, Measures
from app.domain.notification import Topic
from app.domain.refusal_words import WORDS as REFUSAL_CODES
from app.flows.measuring import BURIED, POSTPONED
from app.flows.operate import Operation
from app.routers.metric_catalog import CATALOG

TEXT = "text/plain; version=0.0.4; charset=utf-8"
KINDS = tuple(kind.value for kind in JobKind if kind.value != UNCOUNTED)
OUTCOMES = ("completed", "failed", "already_completed", "already_final", POSTPONED, BURIED)
TOPICS = (*(topic.value for topic in Topic if topic is not Topic.TEST), "progress")
SENT = ("sent", "unreachable", "uncertain", "down", "slow_down", "rejected", "token_refused")
ASKED = ("status", "result", "logs", "listed")
SAID = ("2xx", "4xx", "5xx", "fal_down")
VIA = ("cli", "api", "dashboard")
Values = Mapping[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class OwnLook:
    """What one answer shows of this process beside its measures; moments are None where there is none."""

    refused: Mapping[str, int]
    probed: int
    keys_fetched_at: datetime | None
    certificate_ends: datetime | None


class _Scrape(Collector):
    """All metrics at one moment. `figures` None: the database did not answer, and its metrics are left out."""

    def __init__(self, measures: Measures, look: OwnLook, figures: Figures | None) -> None:
        self._values = dict(_of_process(measures, look)) | ({} if figures is None else dict(_of_database(figures)))
        self._histograms = dict(_histograms(measures))

    def collect(self) -> Iterable[Metric]:
        """Spell what there is, in the order of the catalog."""
        for metric in CATALOG:
            if metric.kind == "histogram":
                spread = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
                for labels, histogram in self._histograms[metric.short].items():
                    spread.add_metric(labels, _buckets(histogram), histogram.total)
                yield spread
            elif metric.short in self._values:
                family = GaugeMetricFamily if metric.kind == "gauge" else CounterMetricFamily
                plain = family(metric.name, metric.meaning, labels=metric.labels)
                for labels, value in sorted(self._values[metric.short].items()):
                    plain.add_metric(labels, value)
                yield plain


def render(measures: Measures, look: OwnLook, figures: Figures | None) -> bytes:
    """Spell everything once."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's
    registry = CollectorRegistry()
    registry.register(_Scrape(measures, look, figures))
    return generate_latest(registry)


def _of_process(measures: Measures, look: OwnLook) -> Iterator[tuple[str, Values]]:
    not_stored = sum(look.refused.get(code, 0) for code in UNAVAILABLE)
    beside = sum(look.refused.get(code, 0) for code in BEFORE_A_REQUEST)
    yield (
        "received_total",
        {
            (STORED,): measures.received[STORED],
            (REPEATED,): measures.received[REPEATED],
            ("probed",): look.probed,
            ("not_stored",): not_stored,
            ("refused",): sum(look.refused.values()) - not_stored - beside,
        },
    )
    yield "refused_total", {(code,): look.refused.get(code, 0) for code in {*REFUSAL_CODES, *look.refused}}
    yield "applied_total", _started(measures.applied, [(kind, outcome) for kind in KINDS for outcome in OUTCOMES])
    yield "telegram_sends_total", _started(measures.sends, [(topic, outcome) for topic in TOPICS for outcome in SENT])
    yield "fal_requests_total", _started(measures.asked, [(asked, said) for asked in ASKED for said in SAID])
    yield "collection_errors_total", {(): measures.collection_errors}
    yield "build_info", {(__version__,): 1}
    yield "jwks_fetched_timestamp_seconds", {(): _moment(look.keys_fetched_at)}
    if look.certificate_ends is not None:
        yield "certificate_not_after_timestamp_seconds", {(): _moment(look.certificate_ends)}


UNAVAILABLE = ("keys_unavailable", "database_unavailable", "bodies_crowded", "unavailable", "internal_error")
BEFORE_A_REQUEST = (
    "malformed_request", "version_not_supported", "headers_too_large", "request_timeout", "connections_full",
    "connections_share", "plain_http",
)  # fmt: skip


def _of_database(figures: Figures) -> Iterator[tuple[str, Values]]:
    yield "deliveries", _single(figures.deliveries)
    yield "notifications", _single(figures.notifications)
    yield "jobs", figures.jobs
    yield (
        "oldest_pending_timestamp_seconds",
        {(queue,): _moment(at) for queue, at in figures.oldest_pending.items()},
    )
    yield "orphans", {(): figures.orphans}
    yield "jobs_overdue", {(): figures.overdue}
    yield "drift", {(): figures.drifted}
    yield "last_delivery_timestamp_seconds", {(): _moment(figures.last_delivery)}
    yield "alerts_open", _single(figures.alerts)
    yield "chore_last_finished_timestamp_seconds", {(name,): _moment(at) for name, at in figures.chores.items()}
    yield "reconcile_recovered_total", _started(_parts(figures.done, RECOVERED), [(kind,) for kind in KINDS])
    known = [(operation.value, via) for operation in Operation for via in VIA]
    yield "operations_total", _started(_parts(figures.done, OPERATED), known)


def _histograms(measures: Measures) -> Iterator[tuple[str, Mapping[tuple[str, ...], Histogram]]]:
    yield "accept_duration_seconds", {(): measures.accept}
    yield "commit_rows", {(): measures.commit_rows}
    yield "apply_duration_seconds", {(): measures.apply}
    yield "received_to_applied_seconds", {(): measures.to_applied}
    yield "received_to_told_seconds", {(): measures.to_told}
    yield "training_duration_seconds", {(name,): histogram for name, histogram in measures.training.items()}


def _started(counted: Mapping[Any, float], known: Sequence[tuple[str, ...]]) -> Values:
    """Let every known set of labels start at 0, so that its first increase is seen."""
    return dict.fromkeys(known, 0.0) | dict(counted)


def _single(values: Mapping[str, int]) -> Values:
    return {(label,): value for label, value in values.items()}


def _parts(done: Mapping[str, int], beginning: str) -> Values:
    """Read the labels out of names such as `operated.redrive.cli`."""
    named = {tuple(name.split(".")): amount for name, amount in done.items()}
    return {rest: amount for (first, *rest_), amount in named.items() if first == beginning and (rest := tuple(rest_))}


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    buckets: list[tuple[str, float]] = []
    below = 0
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        below += count
        buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), below))
    return buckets


def _moment(at: datetime | None) -> float:
    return 0.0 if at is None else at.timestamp()
