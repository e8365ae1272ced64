"""What happened to one job, and how its rows stand: sentences, told from what is on record. Pure."""

from collections.abc import Iterator
from datetime import datetime

from app.domain.history import ACTS, Event, EventKind
from app.domain.story import Sentence, StoryDelivery, StoryFacts, StoryJob, StoryMessage

SOURCES = ("submitted", "registered")  # of an endpoint that we know not from the bot's row


def happened(facts: StoryFacts) -> Iterator[Sentence]:
    """Tell what has a moment, row by row."""
    if facts.job is not None:
        yield from _of_job(facts.job)
    applied: dict[int, datetime] = {}
    for event in facts.events:
        if event.kind == EventKind.APPLIED and event.delivery_id is not None:
            applied.setdefault(event.delivery_id, event.at)
    for delivery in facts.deliveries:
        is_of_images = facts.job is not None and facts.job.is_of_images
        yield from _of_delivery(delivery, applied.get(delivery.id), is_of_images=is_of_images)
    for message in facts.messages:
        yield from _of_message(message)
    for event in facts.events:
        yield from _of_event(event)


def _of_event(event: Event) -> Iterator[Sentence]:
    """Tell what a row does not keep: why it waited on its way, and what an operator did."""
    of = {"delivery": event.delivery_id or "-", "message": event.notification_id or "-"}
    if event.kind in ACTS:
        yield Sentence(f"event.{event.kind}", event.at, {**of, "who": event.who or "?", "why": event.why or "-"})
    elif event.kind == EventKind.POSTPONED:
        yield Sentence("event.postponed", event.at, {**of, "why": event.reason or "-", "attempt": event.attempt or 0})


def _of_job(job: StoryJob) -> Iterator[Sentence]:
    endpoint = {"endpoint": job.endpoint or "?"}
    source = job.endpoint_source if job.endpoint_source in SOURCES else "met"
    yield Sentence(f"job.{source}", job.first_seen_at, endpoint)
    if job.at_work_since is not None:
        yield Sentence("job.at_work", job.at_work_since)
    if job.stage in ("finished", "gone"):
        yield Sentence(f"job.{job.stage}", job.stage_since)
    if job.looked_at is not None:
        yield Sentence("job.asked", job.looked_at)
    if job.drifted_at is not None:
        yield Sentence("job.drifted", job.drifted_at, {"times": job.drifts})
    if job.state == "done":
        known = job.outcome if job.outcome in ("completed", "failed", "gone", "superseded") else "ended"
        yield Sentence(f"job.end.{known}", job.finished_at, {"outcome": job.outcome or job.reason or "done"})
    elif job.state not in ("pending", "historic"):
        yield Sentence("job.given_up", job.finished_at, {"reason": job.reason or job.state})


def _of_delivery(delivery: StoryDelivery, first_applied: datetime | None, *, is_of_images: bool) -> Iterator[Sentence]:
    """Tell of one delivery. Where a row that was set back had it applied once more, its end is the first time."""
    row = {"id": delivery.id}
    source = "fetched" if delivery.source == "reconcile" else "arrived"
    yield Sentence(f"delivery.{source}", delivery.received_at, row)
    if delivery.trace is not None:
        yield Sentence("delivery.traced", delivery.received_at, {**row, "trace": delivery.trace})
    if delivery.repeats:
        yield Sentence("delivery.repeated", delivery.last_received_at, {**row, "times": delivery.repeats})
    if delivery.state == "pending":
        return
    reason = {**row, "reason": delivery.reason or delivery.state}
    applied_at = first_applied or delivery.finished_at
    match delivery.state, delivery.reason:
        case "done", ("completed" | "failed") if is_of_images:
            yield Sentence(f"delivery.images.{delivery.reason}", applied_at, row)
        case "done", ("completed" | "failed" | "already_completed" | "already_final"):
            yield Sentence(f"delivery.{delivery.reason}", applied_at, row)
        case (("done" | "dead" | "ignored"), _):
            yield Sentence(f"delivery.{delivery.state}", delivery.finished_at, reason)
        case _:
            yield Sentence("delivery.ended", delivery.finished_at, {**reason, "state": delivery.state})


def _of_message(message: StoryMessage) -> Iterator[Sentence]:
    topic = message.topic if message.topic in ("ready", "failed", "correction") else "other"
    told = {"id": message.id, "topic": message.topic, "cause": message.cause or "-"}
    yield Sentence(f"message.owed.{topic}", message.applied_at, told)
    ended = {**told, "reason": message.reason or message.state, "message_id": message.message_id or "-"}
    match message.state:
        case "pending":
            return
        case "sent" | "unsent" | "dead" | "ignored":
            yield Sentence(f"message.{message.state}", message.finished_at, ended)
        case _:
            yield Sentence("message.ended", message.finished_at, {**ended, "state": message.state})


def as_it_stands(facts: StoryFacts) -> Iterator[Sentence]:
    """Say how the bot's row stands now, and what nobody sees in the rows of ours."""
    carriers = [subject for subject in facts.subjects if subject.is_carrier]
    if len(carriers) > 1:
        yield Sentence("subject.several", None, {"count": len(carriers)})
    for subject in facts.subjects:
        code = "subject.stands" if subject.is_carrier else "subject.another"
        yield Sentence(code, None, {"avatar": subject.id, "status": subject.status})
    is_of_images = facts.job is not None and facts.job.is_of_images
    if not facts.subjects and not is_of_images and (facts.job or facts.deliveries or facts.messages):
        yield Sentence("subject.none")
    if facts.job is not None and facts.job.state == "pending":
        yield from _progress(facts.job)
    for message in facts.messages:
        if message.uncertain:
            yield Sentence("message.uncertain", None, {"id": message.id, "times": message.uncertain})
    if facts.job is not None and facts.job.artifact in ("unverified", "absent"):
        yield Sentence(f"artifact.{facts.job.artifact}")
    if any(delivery.is_emptied for delivery in facts.deliveries):
        yield Sentence("delivery.emptied")


def _progress(job: StoryJob) -> Iterator[Sentence]:
    if job.stage == "queued" and job.position is not None:
        yield Sentence("job.position", None, {"position": job.position})
    if job.stage == "at_work" and job.percent is not None:
        yield Sentence("job.percent", None, {"percent": job.percent})
