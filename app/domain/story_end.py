"""What holds one job up, with the command that goes on from there; or how it ended. Pure."""

import shlex
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from app.domain.story import Sentence, StoryDelivery, StoryFacts, StoryJob, StoryMessage
from app.domain.story_reasons import (
    ASK_FAL,
    DEAD_DELIVERY,
    DEAD_JOB,
    DEAD_MESSAGE,
    DOCTOR,
    HEALTH,
    IGNORE_DELIVERY,
    LIST,
    PENDING_DELIVERY,
    PENDING_JOB,
    PENDING_MESSAGE,
    REDRIVE_MESSAGE,
    SETTINGS,
    SHOW_DELIVERY,
    SHOW_JOB,
    SHOW_MESSAGE,
    STAGE,
    WHY,
    StoryWait,
)

LEFT = timedelta(minutes=3)  # a row that has been due for longer is taken by nobody

Row = TypeVar("Row", StoryDelivery, StoryMessage)
_SERVER = StoryWait("wait.server", HEALTH)
_AGAIN = StoryWait("wait.again", SHOW_JOB)


class StoryStep(NamedTuple):
    """What is waited for, or how it ended; and what to run next, empty where nothing is left to do."""

    sentence: Sentence
    command: str


def wait_of(facts: StoryFacts, now: datetime) -> StoryStep | None:
    """Find what holds the job up: what goes on by itself comes before what waits for the operator."""
    return next(
        (
            step
            for steps in (_open_rows(facts, now), _untold(facts), _buried(facts), _job_waits(facts, now))
            for step in steps
        ),
        None,
    )


def _open_rows(facts: StoryFacts, now: datetime) -> Iterator[StoryStep]:
    for delivery in _pending(facts.deliveries):
        wait = PENDING_DELIVERY.get(delivery.reason, StoryWait("wait.again", SHOW_DELIVERY))
        yield _step(_taken(wait, delivery.due_at, now), facts, delivery.id, delivery.reason, delivery.due_at)
    for message in _pending(facts.messages):
        # One that is due may wait behind others, and while Telegram is silent none is sent.
        wait = PENDING_MESSAGE.get(message.reason, StoryWait("wait.again", SHOW_MESSAGE))
        yield _step(wait, facts, message.id, message.reason, message.due_at)


def _pending(rows: tuple[Row, ...]) -> list[Row]:
    return sorted((row for row in rows if row.state == "pending"), key=lambda row: row.due_at)


def _taken(wait: StoryWait, due_at: datetime, now: datetime) -> StoryWait:
    return _SERVER if due_at < now - LEFT else wait


def _untold(facts: StoryFacts) -> Iterator[StoryStep]:
    has_success = any(message.topic == "ready" for message in facts.messages)
    for message in facts.messages:
        if message.topic == "failed" and has_success:
            continue  # never to be told any more
        if message.state == "dead":
            wait = DEAD_MESSAGE.get(message.reason, StoryWait("decide.other", SHOW_MESSAGE))
        elif message.state == "unsent" and not message.is_emptied:
            is_ready = facts.has_token
            wait = StoryWait("decide.unsent", REDRIVE_MESSAGE) if is_ready else StoryWait("decide.no_token", SETTINGS)
        else:
            continue
        yield _step(wait, facts, message.id, message.reason)


def _buried(facts: StoryFacts) -> Iterator[StoryStep]:
    for delivery in facts.deliveries:
        if delivery.state == "dead":
            wait = DEAD_DELIVERY.get(delivery.reason, StoryWait("decide.other", SHOW_DELIVERY))
            if delivery.is_emptied:
                wait = StoryWait("decide.emptied", IGNORE_DELIVERY)
            yield _step(wait, facts, delivery.id, delivery.reason)


def _job_waits(facts: StoryFacts, now: datetime) -> Iterator[StoryStep]:
    job = facts.job
    if job is None:
        # What the bot has just begun is taken in within a minute.
        begun = any(subject.is_carrier and subject.status == "training" for subject in facts.subjects)
        if begun and not facts.deliveries:
            yield _step(StoryWait("wait.intake", ASK_FAL), facts, 0, None)
        return
    match job.state:
        case "pending":
            yield _job_is_open(facts, job, now)
        case "historic":
            yield _step(StoryWait("wait.hand", ASK_FAL), facts, job.id, job.reason)
        case "done":
            yield from _put_right(facts, now)
        case _:
            wait = DEAD_JOB.get(job.reason, StoryWait("decide.job", SHOW_JOB))
            yield _step(wait, facts, job.id, job.reason)


def _job_is_open(facts: StoryFacts, job: StoryJob, now: datetime) -> StoryStep:
    look = facts.last_look
    if look is not None and look.silence is not None and job.due_at < now - LEFT <= look.at:
        # While fal says nothing of any job only one is asked about a minute, and this one waits for its turn.
        return _step(PENDING_JOB.get(look.silence, _AGAIN), facts, job.id, look.silence)
    if job.reason is None:
        wait = STAGE.get(job.stage, StoryWait("wait.stage", ASK_FAL))
    else:
        wait = PENDING_JOB.get(job.reason, _AGAIN)
    return _step(_taken(wait, job.due_at, now), facts, job.id, job.reason or job.stage, job.due_at)


def _put_right(facts: StoryFacts, now: datetime) -> Iterator[StoryStep]:
    drifted = facts.drifted
    if drifted is None:
        return
    if any(delivery.id == drifted.delivery_id and delivery.state == "ignored" for delivery in facts.deliveries):
        return  # the operator closed what would be applied again
    rests_until = drifted.rests_until()
    if rests_until is None or rests_until <= now:
        yield _step(StoryWait("wait.put_right", WHY), facts, drifted.id, drifted.found)
    else:
        yield _step(StoryWait("wait.put_right_again", DOCTOR), facts, drifted.id, drifted.found, rests_until)


def _step(wait: StoryWait, facts: StoryFacts, row_id: int, reason: str | None, at: datetime | None = None) -> StoryStep:
    named = reason or "-"
    sentence = Sentence(wait.code, at, {"id": row_id, "reason": named})
    return StoryStep(sentence, wait.command.format(id=row_id, request_id=shlex.quote(facts.request_id)))


def end_of(facts: StoryFacts) -> StoryStep:
    """Say how it ended, where nothing waits any more."""
    sentence = _told(facts.messages) or _closed(facts)
    return StoryStep(sentence, LIST if sentence.code == "end.never_heard" else "")


def _told(messages: tuple[StoryMessage, ...]) -> Sentence | None:
    sent = [message for message in messages if message.state == "sent"]
    if not sent:
        return None
    last = max(sent, key=lambda message: (message.finished_at or message.applied_at, message.id))
    topic = last.topic if last.topic in ("ready", "failed", "correction") else "other"
    code = "end.told_perhaps_twice" if last.uncertain else f"end.told.{topic}"
    return Sentence(code, last.finished_at, {"topic": last.topic})


def _closed(facts: StoryFacts) -> Sentence:
    job = facts.job
    if job is not None and job.outcome == "superseded":
        return Sentence("end.superseded", job.finished_at)
    if any(message.state == "unsent" and message.is_emptied for message in facts.messages):
        return Sentence("end.unsent_forgotten")
    if any(message.state == "ignored" for message in facts.messages):
        return Sentence("end.message_closed")
    if facts.deliveries and all(delivery.state == "ignored" for delivery in facts.deliveries):
        return Sentence("end.closed")
    if facts.deliveries or job is not None or facts.messages:
        return Sentence("end.nothing_owed")
    if any(subject.is_carrier for subject in facts.subjects):
        return Sentence("end.before_us")
    return Sentence("end.never_heard")
