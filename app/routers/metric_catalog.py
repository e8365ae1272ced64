"""Every metric: its name, kind, labels and meaning. docs/metrics.md and the dashboard are held to this list."""

from dataclasses import dataclass
from typing import Literal

PREFIX = "aisha_webhook_"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `name` is what Prometheus calls it; `is_shared`: it is the database's, so every replica tells it."""

    short: str
    kind: Literal["gauge", "counter", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    is_shared: bool = False

    @property
    def name(self) -> str:
        """The whole name; that of a counter ends in `_total`."""
        return f"{PREFIX}{self.short}"


CATALOG: tuple[Metric, ...] = (
    Metric("deliveries", "gauge", "Rows of the inbox by state", ("state",), is_shared=True),
    Metric("notifications", "gauge", "Messages owed or told by state", ("state",), is_shared=True),
    Metric("jobs", "gauge", "Open jobs by kind and by how far fal has come", ("kind", "stage"), is_shared=True),
    Metric(
        "oldest_pending_timestamp_seconds",
        "gauge",
        "When the oldest pending delivery arrived; when the first message or look at a job is due; 0 for none",
        ("queue",),
        is_shared=True,
    ),
    Metric("orphans", "gauge", "Pending deliveries whose request id no avatar has", is_shared=True),
    Metric("jobs_overdue", "gauge", "Trainings that hang, and those given up within a day", is_shared=True),
    Metric("drift", "gauge", "Jobs of the last day whose avatar somebody set back after its end", is_shared=True),
    Metric("last_delivery_timestamp_seconds", "gauge", "When fal last delivered; 0 before the first", is_shared=True),
    Metric("alerts_open", "gauge", "Open alerts by level", ("level",), is_shared=True),
    Metric(
        "chore_last_finished_timestamp_seconds",
        "gauge",
        "When each piece of periodic work was last finished",
        ("chore",),
        is_shared=True,
    ),
    Metric(
        "certificate_not_after_timestamp_seconds", "gauge", "When the certificate served here ends; absent without TLS"
    ),
    Metric("jwks_fetched_timestamp_seconds", "gauge", "When fal's keys were fetched; 0 while there are none"),
    Metric("build_info", "gauge", "1; the version stands in the label", ("version",)),
    Metric("received_total", "counter", "POSTs to a webhook by what became of them", ("result",)),
    Metric("refused_total", "counter", "What was not taken, by its code", ("reason",)),
    Metric("applied_total", "counter", "Deliveries that were applied, by what became of them", ("kind", "outcome")),
    Metric("telegram_sends_total", "counter", "Tries to show a message, by what it tells", ("kind", "outcome")),
    Metric("fal_requests_total", "counter", "Questions to fal's queue, by what was asked for", ("endpoint", "outcome")),
    Metric(
        "reconcile_recovered_total",
        "counter",
        "Results that fal was asked for because no delivery brought them",
        ("kind",),
        is_shared=True,
    ),
    Metric(
        "operations_total",
        "counter",
        "Rows that an operator redrove or closed, and through what",
        ("operation", "via"),
        is_shared=True,
    ),
    Metric("collection_errors_total", "counter", "Answers without the database's figures: it did not answer"),
    Metric("accept_duration_seconds", "histogram", "From a delivery's last byte to its commit"),
    Metric("commit_rows", "histogram", "Deliveries in one commit of the inbox"),
    Metric("apply_duration_seconds", "histogram", "One batch of deliveries, from its reading to its commit"),
    Metric("received_to_applied_seconds", "histogram", "From a delivery's arrival to the commit that applied it"),
    Metric(
        "received_to_told_seconds", "histogram", "From a delivery's arrival until Telegram took the owner's message"
    ),
    Metric("training_duration_seconds", "histogram", "How long successful trainings were at work", ("trainer",)),
)
