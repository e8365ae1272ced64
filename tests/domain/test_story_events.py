"""What happened to one job, in whole sentences: the code, the moment and the facts of each."""

from datetime import datetime, timedelta
from typing import Any

from app.domain.history import Event, EventKind
from app.domain.story import Sentence
from app.domain.story_events import as_it_stands, happened
from tests.fakes import START
from tests.story_rows import ended_job, facts, images_job, job, message, received, subject

ENDPOINT = {"endpoint": "fal-ai/flux-lora-portrait-trainer"}


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def told(*rows: Any) -> list[Sentence]:
    return list(happened(facts(*rows)))


def stands(*rows: Any) -> list[Sentence]:
    return list(as_it_stands(facts(*rows)))


def test_each_step_of_a_job_has_the_moment_of_its_own_column() -> None:
    """Met, at work, finished, asked, set back, ended: nothing is told by another's moment."""
    whole_way = ended_job(
        first_seen_at=minute(0),
        at_work_since=minute(1),
        stage="finished",
        stage_since=minute(2),
        looked_at=minute(3),
        drifts=2,
        drifted_at=minute(4),
        finished_at=minute(5),
    )
    assert told(whole_way) == [
        Sentence("job.met", minute(0), ENDPOINT),
        Sentence("job.at_work", minute(1)),
        Sentence("job.finished", minute(2)),
        Sentence("job.asked", minute(3)),
        Sentence("job.drifted", minute(4), {"times": 2}),
        Sentence("job.end.completed", minute(5), {"outcome": "completed"}),
    ]


def test_where_a_job_came_from() -> None:
    """Submitted or registered; any other source, a newer version's as well, says that it was met."""
    for source, code in (
        ("submitted", "job.submitted"),
        ("registered", "job.registered"),
        ("guessed", "job.met"),
        ("a_newer_one", "job.met"),
    ):
        assert told(job(endpoint_source=source)) == [Sentence(code, START, ENDPOINT)], source
    assert told(job(endpoint=None)) == [Sentence("job.met", START, {"endpoint": "?"})]


def test_a_stage_that_is_over_is_told() -> None:
    """That fal finished, or knows the job no more, has a moment; a stage that lasts is none of what happened."""
    for stage in ("finished", "gone"):
        assert told(job(stage=stage, stage_since=minute(2)))[1:] == [Sentence(f"job.{stage}", minute(2))]
    for lasting in (None, "queued", "at_work", "paused"):
        assert told(job(stage=lasting, stage_since=minute(2)))[1:] == [], lasting


def test_how_a_job_ended() -> None:
    """A known outcome has its own sentence; another one is named, or its reason, or at least that it is done."""
    for outcome, reason, code, named in (
        ("completed", None, "job.end.completed", "completed"),
        ("failed", None, "job.end.failed", "failed"),
        ("gone", "gone", "job.end.gone", "gone"),
        ("superseded", "superseded", "job.end.superseded", "superseded"),
        ("a_newer_one", "odd", "job.end.ended", "a_newer_one"),
        (None, "odd", "job.end.ended", "odd"),
        (None, None, "job.end.ended", "done"),
    ):
        expected = Sentence(code, minute(5), {"outcome": named})
        assert told(ended_job(outcome=outcome, reason=reason, finished_at=minute(5)))[1:] == [expected], outcome


def test_a_job_that_was_given_up_says_why() -> None:
    """By its reason, without one by its state; a job that waits, or is older than this server, has not ended."""
    for state, reason, named in (
        ("dead", "endpoint_unknown", "endpoint_unknown"),
        ("dead", None, "dead"),
        ("a_newer_one", None, "a_newer_one"),
    ):
        expected = Sentence("job.given_up", minute(5), {"reason": named})
        assert told(job(state=state, reason=reason, finished_at=minute(5)))[1:] == [expected], (state, reason)
    for state in ("pending", "historic"):
        assert told(job(state=state, reason="fal_down", finished_at=minute(5)))[1:] == [], state


def test_how_a_delivery_came() -> None:
    """By webhook, or fetched from fal by ourselves; its trace and its repeats have their own sentences and moments."""
    pending = {"state": "pending", "received_at": minute(1), "last_received_at": minute(6)}
    assert told(received(**pending, repeats=2, trace="00-a-b-01")) == [
        Sentence("delivery.arrived", minute(1), {"id": 3}),
        Sentence("delivery.traced", minute(1), {"id": 3, "trace": "00-a-b-01"}),
        Sentence("delivery.repeated", minute(6), {"id": 3, "times": 2}),
    ]
    assert told(received(**pending, source="reconcile")) == [Sentence("delivery.fetched", minute(1), {"id": 3})]


def test_how_a_delivery_ended() -> None:
    """What it did to the avatar; of others the reason, without one the state, and of a newer state both."""
    for state, reason, code, more in (
        ("done", "completed", "delivery.completed", {}),
        ("done", "failed", "delivery.failed", {}),
        ("done", "already_completed", "delivery.already_completed", {}),
        ("done", "already_final", "delivery.already_final", {}),
        ("done", "superseded", "delivery.done", {"reason": "superseded"}),
        ("done", None, "delivery.done", {"reason": "done"}),
        ("dead", "orphan", "delivery.dead", {"reason": "orphan"}),
        ("dead", "completed", "delivery.dead", {"reason": "completed"}),
        ("dead", None, "delivery.dead", {"reason": "dead"}),
        ("ignored", "orphan", "delivery.ignored", {"reason": "orphan"}),
        ("a_newer_one", "odd", "delivery.ended", {"reason": "odd", "state": "a_newer_one"}),
        ("a_newer_one", None, "delivery.ended", {"reason": "a_newer_one", "state": "a_newer_one"}),
    ):
        row = received(state=state, reason=reason, finished_at=minute(5))
        assert told(row)[1:] == [Sentence(code, minute(5), {"id": 3, **more})], (state, reason)
    assert told(received(state="pending", reason="orphan", finished_at=minute(5)))[1:] == []


def test_how_a_delivery_of_images_ended() -> None:
    """Of images it says images, where it changed something; what changed nothing is told as ever."""
    for reason, code in (
        ("completed", "delivery.images.completed"),
        ("failed", "delivery.images.failed"),
        ("already_completed", "delivery.already_completed"),
        ("already_final", "delivery.already_final"),
    ):
        ended = told(images_job(), received(reason=reason, finished_at=minute(5)))[-1]
        assert ended == Sentence(code, minute(5), {"id": 3}), reason
    dead = told(images_job(), received(state="dead", reason="failed", finished_at=minute(5)))[-1]
    assert dead == Sentence("delivery.dead", minute(5), {"id": 3, "reason": "failed"})


def test_what_was_applied_once_more_was_applied_the_first_time() -> None:
    """A row that was set back has its delivery applied again: the first moment counts, and of this delivery alone."""
    again = (
        Event(minute(1), EventKind.CLAIMED, delivery_id=3),
        Event(minute(1), EventKind.APPLIED, delivery_id=4),
        Event(minute(1), EventKind.APPLIED, notification_id=5),
        Event(minute(2), EventKind.APPLIED, delivery_id=3),
        Event(minute(7), EventKind.APPLIED, delivery_id=3),
    )
    for reason in ("completed", "failed", "already_completed", "already_final"):
        assert told(received(reason=reason, finished_at=minute(7)), *again)[1].at == minute(2), reason
        assert told(received(reason=reason, finished_at=minute(7)), *again[:3])[1].at == minute(7), reason
    assert told(images_job(), received(finished_at=minute(7)), *again)[-1].at == minute(2)
    for state in ("done", "dead", "ignored", "a_newer_one"):
        row = received(state=state, reason="superseded", finished_at=minute(7))
        assert told(row, *again)[1].at == minute(7), state


def test_what_the_owner_is_owed() -> None:
    """Success, failure with its cause, correction; any other message is named by its topic."""
    for topic, cause, code, named in (
        ("ready", None, "message.owed.ready", "-"),
        ("failed", "bad_photos", "message.owed.failed", "bad_photos"),
        ("correction", None, "message.owed.correction", "-"),
        ("images", None, "message.owed.other", "-"),
    ):
        row = message(topic=topic, cause=cause, state="pending", applied_at=minute(3), finished_at=minute(4))
        assert told(row) == [Sentence(code, minute(3), {"id": 5, "topic": topic, "cause": named})], topic


def test_how_a_message_ended() -> None:
    """Sent as which message of Telegram's, or why not, with the moment of its end; of a newer state its name."""
    base = {"id": 5, "topic": "ready", "cause": "-"}
    for state, reason, number, code, more in (
        ("sent", "sent", 77, "message.sent", {"reason": "sent", "message_id": 77}),
        ("sent", None, None, "message.sent", {"reason": "sent", "message_id": "-"}),
        ("unsent", "no_token", None, "message.unsent", {"reason": "no_token", "message_id": "-"}),
        ("dead", "rejected", None, "message.dead", {"reason": "rejected", "message_id": "-"}),
        ("dead", None, None, "message.dead", {"reason": "dead", "message_id": "-"}),
        ("ignored", "overtaken", None, "message.ignored", {"reason": "overtaken", "message_id": "-"}),
        ("newer", "odd", 77, "message.ended", {"reason": "odd", "message_id": 77, "state": "newer"}),
    ):
        row = message(state=state, reason=reason, message_id=number, applied_at=minute(3), finished_at=minute(4))
        assert told(row)[1:] == [Sentence(code, minute(4), {**base, **more})], (state, reason)


def test_what_an_operator_did_is_told_with_their_name_and_words() -> None:
    """Who had a row tried again or left, and why; of a row that is not theirs, a name or words that lack, a mark."""
    for kind, code in ((EventKind.REDRIVEN, "event.redriven"), (EventKind.IGNORED, "event.ignored")):
        assert told(
            Event(minute(1), kind, delivery_id=3, who="ann", why="fal is back", reason="orphan"),
            Event(minute(2), kind, notification_id=5),
        ) == [
            Sentence(code, minute(1), {"delivery": 3, "message": "-", "who": "ann", "why": "fal is back"}),
            Sentence(code, minute(2), {"delivery": "-", "message": 5, "who": "?", "why": "-"}),
        ]


def test_why_a_row_waited_on_its_way() -> None:
    """Each line that the history keeps of it, with the reason and which attempt it was."""
    assert told(
        Event(minute(1), EventKind.POSTPONED, delivery_id=3, attempt=2, reason="locked", why="not this"),
        Event(minute(2), EventKind.POSTPONED, notification_id=5),
    ) == [
        Sentence("event.postponed", minute(1), {"delivery": 3, "message": "-", "why": "locked", "attempt": 2}),
        Sentence("event.postponed", minute(2), {"delivery": "-", "message": 5, "why": "-", "attempt": 0}),
    ]


def test_what_the_rows_keep_themselves_is_not_told_twice() -> None:
    """Of the history only delays and the operator's acts are told: the rest stands in the rows."""
    kinds = set(EventKind) - {EventKind.REDRIVEN, EventKind.IGNORED, EventKind.POSTPONED}
    assert told(*(Event(START, kind, delivery_id=3, notification_id=5) for kind in sorted(kinds))) == []


def test_rows_are_told_one_after_the_other() -> None:
    """The job, each delivery, each message, then the history: what has the same moment stays in this order."""
    line = Event(START, EventKind.POSTPONED, delivery_id=3, reason="locked")
    of = told(line, message(id=6), message(), received(id=4), received(), job())
    assert [(sentence.code.split(".")[0], sentence.facts.get("id")) for sentence in of] == [
        ("job", None),
        *[("delivery", 4)] * 2,
        *[("delivery", 3)] * 2,
        *[("message", 6)] * 2,
        *[("message", 5)] * 2,
        ("event", None),
    ]


def test_how_the_avatar_stands_now() -> None:
    """Its status without a moment; that another id is carried now, and that several carry this one, is said."""
    assert stands(job(), subject("training")) == [
        Sentence("subject.stands", None, {"avatar": "a1", "status": "training"})
    ]
    assert stands(subject(is_carrier=False)) == [
        Sentence("subject.another", None, {"avatar": "a1", "status": "completed"})
    ]
    assert stands(subject(), subject("error", id="a2"), subject("draft", id="a3", is_carrier=False)) == [
        Sentence("subject.several", None, {"count": 2}),
        Sentence("subject.stands", None, {"avatar": "a1", "status": "completed"}),
        Sentence("subject.stands", None, {"avatar": "a2", "status": "error"}),
        Sentence("subject.another", None, {"avatar": "a3", "status": "draft"}),
    ]


def test_that_no_avatar_carries_the_id_is_said_of_what_has_rows() -> None:
    """A job, a delivery or a message without an avatar; not of images, and not where nothing is on record at all."""
    for row in (job(), received(), message()):
        assert stands(row) == [Sentence("subject.none")]
    assert stands(images_job(), received(), message()) == stands() == []


def test_how_far_fal_is() -> None:
    """The position in the queue or the percentage, each only at its own stage and only while the job waits."""
    numbers = {"position": 4, "percent": 60}
    avatar = subject("training")
    for stage, expected in (
        ("queued", [Sentence("job.position", None, {"position": 4})]),
        ("at_work", [Sentence("job.percent", None, {"percent": 60})]),
        ("finished", []),
        (None, []),
    ):
        assert stands(job(stage=stage, **numbers), avatar)[1:] == expected, stage
        assert stands(job(stage=stage), avatar)[1:] == [], stage
        assert stands(ended_job(stage=stage, **numbers), avatar)[1:] == [], stage
    assert stands(job(stage="queued", position=0), avatar)[1:] == [Sentence("job.position", None, {"position": 0})]


def test_what_nobody_sees_in_the_rows() -> None:
    """Sends without an answer, a file that nobody has seen, a body that retention has emptied."""
    assert stands(
        ended_job(artifact="absent"),
        received(is_emptied=True),
        received(id=4),
        message(),
        message(id=6, uncertain=2),
        subject(),
    )[1:] == [
        Sentence("message.uncertain", None, {"id": 6, "times": 2}),
        Sentence("artifact.absent"),
        Sentence("delivery.emptied"),
    ]
    assert stands(ended_job(artifact="unverified"), subject())[1:] == [Sentence("artifact.unverified")]
    assert stands(ended_job(artifact="seen"), received(), subject())[1:] == []
