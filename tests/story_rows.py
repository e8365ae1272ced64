"""Rows of one job as the story reads them."""

from dataclasses import fields
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from app.domain.drift import Drift, DriftedJob
from app.domain.history import Event, EventKind
from app.domain.job import JobOutcome
from app.domain.story import StoryDelivery, StoryFacts, StoryJob, StoryLook, StoryMessage, StorySubject
from app.domain.training import Artifacts
from tests.factories import LORA
from tests.fakes import START

SOON = START + timedelta(seconds=30)


def job(**changes: Any) -> StoryJob:
    values: dict[str, Any] = {
        "id": 7,
        "state": "pending",
        "reason": None,
        "detail": None,
        "endpoint": "fal-ai/flux-lora-portrait-trainer",
        "endpoint_source": "guessed",
        "stage": None,
        "stage_since": None,
        "first_seen_at": START,
        "at_work_since": None,
        "looked_at": None,
        "said_at": None,
        "due_at": SOON,
        "finished_at": None,
        "position": None,
        "percent": None,
        "outcome": None,
        "artifact": None,
        "drifts": 0,
        "drifted_at": None,
    }
    return StoryJob(**{**values, **changes})


def ended_job(**changes: Any) -> StoryJob:
    values = {"state": "done", "outcome": "completed", "finished_at": START}
    return job(**{**values, **changes})


def images_job(**changes: Any) -> StoryJob:
    return ended_job(**{"kind": "generation", **changes})


def received(**changes: Any) -> StoryDelivery:
    values: dict[str, Any] = {
        "id": 3,
        "state": "done",
        "reason": "completed",
        "detail": None,
        "due_at": SOON,
        "attempt": 1,
        "finished_at": START,
        "source": "webhook",
        "repeats": 0,
        "received_at": START,
        "last_received_at": START,
        "is_emptied": False,
    }
    return StoryDelivery(**{**values, **changes})


def message(**changes: Any) -> StoryMessage:
    values: dict[str, Any] = {
        "id": 5,
        "topic": "ready",
        "cause": None,
        "state": "sent",
        "reason": "sent",
        "detail": None,
        "due_at": SOON,
        "applied_at": START,
        "finished_at": START,
        "message_id": 77,
        "uncertain": 0,
        "is_emptied": False,
    }
    return StoryMessage(**{**values, **changes})


def subject(status: str = "completed", **changes: Any) -> StorySubject:
    values: dict[str, Any] = {"id": "a1", "status": status, "is_carrier": True}
    return StorySubject(**{**values, **changes})


def drifted(**changes: Any) -> DriftedJob:
    values: dict[str, Any] = {
        "id": 7,
        "request_id": "r1",
        "subject": "a1",
        "found": Drift.SET_BACK,
        "outcome": JobOutcome.COMPLETED,
        "artifacts": Artifacts(lora_url=LORA),
        "detail": None,
        "delivery_id": 3,
        "drifts": 0,
        "drifted_at": None,
    }
    return DriftedJob(**{**values, **changes})


def facts(
    *rows: StoryJob | StoryDelivery | StoryMessage | StorySubject | DriftedJob | StoryLook | Event,
    has_token: bool = True,
) -> StoryFacts:
    return StoryFacts(
        request_id="r1",
        job=next((row for row in rows if isinstance(row, StoryJob)), None),
        deliveries=tuple(row for row in rows if isinstance(row, StoryDelivery)),
        messages=tuple(row for row in rows if isinstance(row, StoryMessage)),
        subjects=tuple(row for row in rows if isinstance(row, StorySubject)),
        has_token=has_token,
        drifted=next((row for row in rows if isinstance(row, DriftedJob)), None),
        last_look=next((row for row in rows if isinstance(row, StoryLook)), None),
        events=tuple(row for row in rows if isinstance(row, Event)),
    )


words = st.none() | st.sampled_from(
    ["orphan", "bug", "no_fal_key", "sending", "superseded", "completed", "at_work", "odd\nword", "", "drift"]
)
states = st.sampled_from(["pending", "done", "dead", "ignored", "sent", "unsent", "historic", "newer"])
moments = st.timedeltas(timedelta(days=-60), timedelta(days=1)).map(lambda apart: START + apart)
numbers = st.none() | st.integers(0, 9)


def any_row(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Rows whose columns hold anything that their kind of column can."""
    given_kinds = {
        "int": st.integers(0, 9),
        "int | None": numbers,
        "bool": st.booleans(),
        "datetime": moments,
        "datetime | None": st.none() | moments,
        "str | None": words,
        "str": words.map(lambda word: word or "training"),
    }
    columns = {one.name: given_kinds[_name(one.type)] for one in fields(kind)}
    return st.builds(kind, **{**columns, **({"state": states} if "state" in columns else {})})


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("datetime.datetime", "datetime")


events = st.builds(
    Event,
    at=moments,
    kind=st.sampled_from([*EventKind, "newer"]),
    delivery_id=numbers,
    notification_id=numbers,
    attempt=numbers,
    reason=words,
    who=words,
    why=words,
)
stories_facts = st.builds(
    StoryFacts,
    request_id=st.just("r1"),
    job=st.none() | any_row(StoryJob),
    deliveries=st.lists(any_row(StoryDelivery), max_size=3).map(tuple),
    messages=st.lists(any_row(StoryMessage), max_size=3).map(tuple),
    subjects=st.lists(any_row(StorySubject), max_size=2).map(tuple),
    has_token=st.booleans(),
    drifted=st.none() | st.builds(drifted, drifts=st.integers(0, 9), drifted_at=st.none() | moments),
    last_look=st.none() | st.builds(StoryLook, at=moments, silence=words),
    events=st.lists(events, max_size=3).map(tuple),
)
