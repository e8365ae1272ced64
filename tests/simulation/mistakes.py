"""What a bot of the newer kind asks for that cannot be had: each has an answer of its own, and changes nothing."""

import random
from collections.abc import Iterator
from typing import Any

import orjson

from tests.simulation.chance import one_of
from tests.simulation.checks import Violation
from tests.simulation.course import Course

Asked = tuple[str, str, Any, frozenset[int]]  # method, path, body, answers that may be given
OUTAGE = frozenset({0, 408, 429, 500, 503})  # what any request may get while something is wrong; 0: none
TRAININGS, JOBS = "/api/v1/trainings", "/api/v1/jobs"
NOT_PHOTOS = ("http://photos.example/a.zip", "https://x@photos.example/a.zip", "https://photos.example:0/a.zip",
              "https://[photos/a.zip", "https:///a.zip", "a.zip")  # fmt: skip
NO_REQUEST = ("0" * 8 + "-0000-4000-a000-" + "0" * 12, "%2e%2e", "x y")


def about_trainings(course: Course, body: dict[str, Any], chance: random.Random) -> Iterator[Asked]:
    """Name requests beside a training that was submitted with `body`."""
    other = {"portrait": "style", "style": "portrait"}[course.type]
    fresh = {"idempotency_key": f"slip-{course.number}-{chance.randrange(1000)}"}
    yield "POST", TRAININGS, {**body, **fresh, "avatar_id": "nobody"}, frozenset({404, 400})
    yield "POST", TRAININGS, {**body, **fresh, "type": other}, frozenset({400})
    yield "POST", TRAININGS, {**body, **fresh, "images_url": chance.choice(NOT_PHOTOS)}, frozenset({400})
    yield "POST", TRAININGS, {**body, **fresh, "type": "oil"}, frozenset({400})
    yield "GET", f"{TRAININGS}/{chance.choice(NO_REQUEST)}", None, frozenset({404})
    yield "DELETE", f"{TRAININGS}/{chance.choice(NO_REQUEST)}", None, frozenset({404})


def about_what_is_at_work(body: dict[str, Any]) -> list[Asked]:
    """Name what cannot be had while fal is at work for an avatar: another training by its key, or by another one."""
    more = body["idempotency_key"] + "-more"
    return [
        ("POST", TRAININGS, {**body, "steps": 777}, frozenset({409, 424})),
        ("POST", TRAININGS, {**body, "idempotency_key": more}, frozenset({409, 424, 400})),
    ]


def about_jobs(course: Course, chance: random.Random) -> Iterator[Asked]:
    """Name registrations that cannot stand."""
    body = {"request_id": course.request_id, "kind": "training", "endpoint": course.endpoint}
    evil = "https://queue.example/x/requests/1"
    yield "POST", JOBS, {**body, "status_url": evil}, frozenset({400})
    yield "POST", JOBS, {**body, "kind": "generation", "chat_id": 7}, frozenset({400})
    yield "POST", JOBS, {**body, "kind": "dream"}, frozenset({400})
    yield "POST", JOBS, {**body, "endpoint": "not an endpoint"}, frozenset({400})


async def slip(world: Any, chance: random.Random, asked: Asked) -> None:
    """Ask once, and hold the answer to those that may be given."""
    method, path, body, answers = asked
    raw = b"" if body is None else orjson.dumps(body)
    token = one_of(chance, {None: 12, "wrong": 1, "Basic eA==": 1})
    status = await world.newer_bot.ask_once(method, path, raw, token=token)
    allowed = answers if token is None else frozenset({401, 429})
    if status not in allowed and status not in OUTAGE:
        world.fail(Violation("I12", "", f"{method} {path} was answered {status}: {raw[:200]!r}"))
