"""A delivery's way, from what is on record of it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from app.domain.timeline import TimelineStep, timeline
from tests.fakes import START


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def delivery(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "state": "done",
        "reason": "completed",
        "source": "webhook",
        "received_at": at(100),
        "stored_at": at(100.01),
        "finished_at": at(101),
        **changes,
    }


def event(kind: str, seconds: float, **changes: Any) -> dict[str, Any]:
    line = dict.fromkeys(("delivery_id", "notification_id", "job_id", "attempt", "reason", "who", "why"))
    return {**line, "kind": kind, "at": at(seconds), **changes}


JOB = {"first_seen_at": START, "at_work_since": at(10), "endpoint_source": "submitted"}


def test_the_whole_way_in_order() -> None:
    """Submitted, at work, received, verified, stored, claimed, applied, told, each with what it took."""
    steps = timeline(
        delivery(),
        JOB,
        [{"id": 5, "state": "sent", "finished_at": at(103), "reason": None}],
        [
            event("told", 103, notification_id=5),
            event("claimed", 100.5, delivery_id=1),
            event("applied", 101, delivery_id=1),
        ],
    )
    assert [(step.kind, step.took and step.took.total_seconds()) for step in steps] == [
        ("submitted", None),
        ("at_work", 10.0),
        ("received", 90.0),
        ("verified", None),
        ("stored", 0.01),
        ("claimed", 0.49),
        ("applied", 0.5),
        ("told", 2.0),
    ]


def test_what_has_no_history_is_told_from_its_rows() -> None:
    """A delivery from before there was a history has its ends all the same; one fetched from fal was not signed."""
    messages = [{"id": 5, "state": "dead", "finished_at": at(103), "reason": "blocked"}]
    steps = timeline(delivery(source="reconcile"), None, messages, [])
    assert [(step.kind, step.reason) for step in steps] == [
        ("fetched", None),
        ("stored", None),
        ("applied", "completed"),
        ("buried", "blocked"),
    ]


def test_a_clock_behind_makes_nothing_negative() -> None:
    """Two replicas' clocks differ: no step takes less than nothing, and the arrival keeps its order (fault 15)."""
    steps = timeline(delivery(stored_at=at(99)), None, [], [event("applied", 98, delivery_id=1)])
    assert [step.kind for step in steps] == ["received", "verified", "stored", "applied"]
    assert all(step.took is None or step.took >= timedelta(0) for step in steps)


def test_a_step_names_its_row_and_what_is_on_record_of_it() -> None:
    """Reason, attempt, who and why of a line stand in its step, with the message where it is about one."""
    messages = [{"id": 5, "state": "unsent", "finished_at": at(103), "reason": "no_token"}]
    events = [
        event("stage", 50, job_id=3, reason="at_work"),
        event("postponed", 102, delivery_id=1, attempt=2, reason="locked"),
        event("redriven", 104, notification_id=6, who="aisha", why="paid"),
    ]
    steps = timeline(delivery(stored_at=at(100)), {**JOB, "at_work_since": None}, messages, events)
    assert [replace(step, took=None) for step in steps] == [
        TimelineStep("submitted", START, "job"),
        TimelineStep("received", at(100), "delivery"),
        TimelineStep("verified", None, "delivery"),
        TimelineStep("stored", at(100), "delivery"),
        TimelineStep("stage", at(50), "job", reason="at_work"),
        TimelineStep("applied", at(101), "delivery", reason="completed"),
        TimelineStep("postponed", at(102), "delivery", reason="locked", attempt=2),
        TimelineStep("unsent", at(103), "notification", reason="no_token", notification_id=5),
        TimelineStep("redriven", at(104), "notification", who="aisha", why="paid", notification_id=6),
    ]


def test_a_job_is_shown_as_far_as_it_was_known_before_its_result() -> None:
    """Submitted, registered or met; a job that was first seen, or at work, after the result came is not before it."""
    for job, kinds in (
        ({}, ["submitted", "at_work"]),
        ({"endpoint_source": "registered"}, ["registered", "at_work"]),
        ({"endpoint_source": "guessed"}, ["met", "at_work"]),
        ({"first_seen_at": at(100), "at_work_since": at(100)}, ["submitted", "at_work"]),
        ({"at_work_since": at(100.5)}, ["submitted"]),
        ({"at_work_since": None}, ["submitted"]),
        ({"first_seen_at": at(100.5)}, []),
    ):
        steps = timeline(delivery(), {**JOB, **job}, [], [])
        assert [step.kind for step in steps if step.of == "job"] == kinds, job


def test_what_has_not_ended_has_no_end() -> None:
    """A row that waits has none, and one whose end stands in the history has it once."""
    for state, end in (("pending", []), ("done", ["applied"]), ("dead", ["buried"]), ("ignored", ["ignored"])):
        steps = timeline(delivery(state=state), None, [{"id": 5, "state": "pending"}], [])
        assert [step.kind for step in steps][3:] == end
    told = [event("ignored", 102, delivery_id=1), event("told", 103, notification_id=5)]
    message = {"id": 5, "state": "sent", "finished_at": at(103), "reason": None}
    kinds = [step.kind for step in timeline(delivery(state="ignored"), None, [message], told)]
    assert kinds[3:] == ["ignored", "told"]
