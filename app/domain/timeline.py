"""A delivery's way from fal to its owner, step by step, with what each took. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from app.domain.history import EventKind

_SENT = {"sent": EventKind.TOLD, "unsent": EventKind.UNSENT, "dead": EventKind.BURIED, "ignored": EventKind.IGNORED}
_DONE = {"done": EventKind.APPLIED, "dead": EventKind.BURIED, "ignored": EventKind.IGNORED}
_FIRST = ("submitted", "registered")  # of a job, by how we know its endpoint; else it was met
_ORDER = ("submitted", "registered", "met", "at_work", "received", "fetched", "verified", "stored")


@dataclass(frozen=True, slots=True)
class TimelineStep:
    """One step. `took` is the time since the step before; None for the first, and where no moment is kept.

    `kind` is a word of `_ORDER` or an EventKind. `of` names the row: delivery, notification or job.
    """

    kind: str
    at: datetime | None
    of: str
    took: timedelta | None = None
    reason: str | None = None
    attempt: int | None = None
    who: str | None = None
    why: str | None = None
    notification_id: int | None = None


def timeline(
    delivery: Mapping[str, Any],
    job: Mapping[str, Any] | None,
    messages: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
) -> list[TimelineStep]:
    """Order what is known of a delivery's way; each argument is rows by their columns' names.

    What has no line in the history, from before there was one, is told from the rows.
    """
    steps = [*_arrival(delivery, job), *map(_of_event, events), *_ends(delivery, messages, events)]
    steps.sort(key=_place)
    return _timed(steps)


def _arrival(delivery: Mapping[str, Any], job: Mapping[str, Any] | None) -> list[TimelineStep]:
    steps = []
    if job is not None and job["first_seen_at"] <= delivery["received_at"]:
        source = job["endpoint_source"]
        steps.append(TimelineStep(source if source in _FIRST else "met", job["first_seen_at"], "job"))
        if job["at_work_since"] is not None and job["at_work_since"] <= delivery["received_at"]:
            steps.append(TimelineStep("at_work", job["at_work_since"], "job"))
    is_fetched = delivery["source"] == "reconcile"
    steps.append(TimelineStep("fetched" if is_fetched else "received", delivery["received_at"], "delivery"))
    if not is_fetched:
        steps.append(TimelineStep("verified", None, "delivery"))
    return [*steps, TimelineStep("stored", delivery["stored_at"], "delivery")]


def _of_event(event: Mapping[str, Any]) -> TimelineStep:
    of = next((name for name in ("delivery", "notification") if event[f"{name}_id"] is not None), "job")
    return TimelineStep(
        event["kind"],
        event["at"],
        of,
        reason=event["reason"],
        attempt=event["attempt"],
        who=event["who"],
        why=event["why"],
        notification_id=event["notification_id"],
    )


def _ends(
    delivery: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]]
) -> list[TimelineStep]:
    steps = []
    end = _DONE.get(delivery["state"])
    told = {(event["kind"], event["delivery_id"]) for event in events}
    if end is not None and (end, delivery["id"]) not in told:
        steps.append(TimelineStep(end, delivery["finished_at"], "delivery", reason=delivery["reason"]))
    heard = {event["notification_id"] for event in events}
    for message in messages:
        end = _SENT.get(message["state"])
        if end is not None and message["id"] not in heard:
            at, reason = message["finished_at"], message["reason"]
            steps.append(TimelineStep(end, at, "notification", reason=reason, notification_id=message["id"]))
    return steps


def _place(step: TimelineStep) -> tuple[int, str, int]:
    """Order by time; the arrival keeps its order whatever the clocks of replicas say."""
    if step.kind in _ORDER:
        return 0, "", _ORDER.index(step.kind)
    return 1, "" if step.at is None else step.at.isoformat(), 0


def _timed(steps: Sequence[TimelineStep]) -> list[TimelineStep]:
    timed: list[TimelineStep] = []
    last: datetime | None = None
    for step in steps:
        took: timedelta | None = None if last is None or step.at is None else max(step.at - last, timedelta(0))
        timed.append(replace(step, took=took))
        last = step.at or last
    return timed
