"""Generations: images made with the model that a training gave, and what fal says of them."""

import random

from app.twins import bodies
from app.twins.fal_queue import FalJob
from tests.simulation.chance import one_of
from tests.simulation.course import FAILURES, Course, Saying, fail, uuid

IMAGES: dict[str, float] = {
    "images": 70, "some flagged": 6, "all flagged": 4, "refused": 4, "infra": 3, "none": 2, "error then success": 3,
    "success then error": 4, "two successes": 3,
}  # fmt: skip


def draw(of: Course, chance: random.Random, begins: float) -> Course:
    """Draw a generation with the model that a training gave."""
    return Course(
        1_000_000 + of.number,
        bodies.job_id(chance.getrandbits(48)),
        uuid(chance),
        of.user_id,
        of.chat_id,
        "images",
        of.name,
        of.language,
        one_of(chance, IMAGES),
        begins,
        chance.expovariate(1 / 3),
        chance.uniform(2, 40),
        is_generation=True,
        webhook="/api/v1/generation/status_update",
    )


def prepare(course: Course, chance: random.Random, unix: float) -> FalJob:
    """Settle what fal will say of a generation that begins at `unix`."""
    count = chance.choice((1, 1, 2, 4, 10, 12))
    flagged = {"some flagged": range(count // 2), "all flagged": range(count)}.get(course.end, range(0))
    payload = bodies.images(course.request_id, count, flagged) if course.end != "none" else {"images": []}
    ends = unix + course.waits + course.works
    job = FalJob(
        "IN_QUEUE",
        endpoint=course.endpoint,
        sent_at=unix,
        starts_at=unix + course.waits,
        ends_at=ends,
        body=bodies.dumps(payload),
    )
    job.forgotten_at = ends + 3600
    course.sayings = [Saying(0, bodies.success(course.request_id, payload))]
    if course.end in FAILURES:
        fail(course, job, chance)
    late = chance.choice((0, 5, 200))
    match course.end:
        case "error then success":
            course.sayings.insert(0, Saying(0, bodies.infra_failure(course.request_id)))
            course.sayings[1].at = late
        case "success then error":
            course.sayings.append(Saying(late, bodies.infra_failure(course.request_id)))
        case "two successes":
            again = bodies.images(course.request_id + "again", count)
            course.sayings.append(Saying(late, bodies.success(course.request_id, again)))
    course.can_fail = True
    return job
