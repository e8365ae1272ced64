"""A delivery's way, from what is on record of it."""

from datetime import datetime, timedelta
from typing import Any

from app.domain.timeline import timeline
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
