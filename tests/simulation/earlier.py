"""A start from 0.2's tables, with rows on their way in them: the first process that starts migrates."""

import random
import sqlite3
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config

from app.db.migrate import ROOT
from tests.simulation import course as courses
from tests.simulation.bot import NEW_AVATAR, NEW_USER
from tests.simulation.chance import stream
from tests.simulation.course import Course, digest

SHARE = 0.25  # of the worlds
HEAD = "0002"  # of 0.2
COUNT = 8
CROWD = 1100  # avatars of long ago, more than the server takes in at one go
DAYS_OLD = (2, 3, 5, 9, 40)
DAY = 86_400.0
LATE_ORPHAN = 86_000.0  # s; it is given up after a day
DELIVERY = (
    "INSERT INTO webhook_deliveries (state, reason, due_at, finished_at, request_id, body_sha256, body, headers, "
    "source, received_at, stored_at, last_received_at) VALUES (?, ?, ?, ?, ?, ?, ?, '{}', 'webhook', ?, ?, ?)"
)
MESSAGE = (
    "INSERT INTO webhook_notifications (state, due_at, delivery_id, avatar_id, request_id, kind, avatar_name, "
    "owner_id, chat_id, language, received_at, stored_at, applied_at) "
    "VALUES ('pending', ?, ?, ?, ?, 'ready', ?, ?, ?, ?, ?, ?, ?)"
)


def is_drawn(seed: object) -> bool:
    """Tell whether this world begins with 0.2's tables."""
    return stream(seed, "earlier").random() < SHARE


def make(path: Path, world: Any) -> list[Course]:
    """Make the tables and the rows; return the trainings that they are about."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["database_url"] = f"sqlite:///{path}"
    command.upgrade(config, HEAD)
    chance = stream(world.seed, "rows of 0.2")
    driver = sqlite3.connect(path)
    made = [_row(driver, number, chance, world) for number in range(COUNT)]
    for number in range(COUNT, 2 * COUNT):
        _old_row(driver, number, chance, world)
    world.old_rows = chance.choice((0, 0, CROWD))
    then = world.spelled(-DAYS_OLD[-1] * DAY)
    for number in range(world.old_rows):
        driver.execute(NEW_AVATAR, (f"old-{number}", "nobody", "", "portrait", then, then))
    driver.execute("UPDATE avatars SET fal_request_id = 'of-' || id, status = 'training' WHERE user_id = 'nobody'")
    driver.commit()
    driver.close()
    return made


def _row(driver: sqlite3.Connection, number: int, chance: random.Random, world: Any) -> Course:
    """Store one training that had ended before the new version came: untouched, applied and untold, or an orphan."""
    course = _bygone(number, chance, -chance.uniform(5, 600), world)
    body = course.sayings[0].body
    then, now = world.spelled(course.ends), world.spelled(0.0)
    _make_avatar(driver, course, then)
    is_applied = number % 2 == 0
    status = "completed" if is_applied else "training"
    driver.execute(
        "UPDATE avatars SET fal_request_id = ?, status = ?, diffusers_lora_file_url = ? WHERE id = ?",
        (course.request_id, status, _artifact(course) if is_applied else None, course.avatar_id),
    )
    state = ("done", "completed", then, then) if is_applied else ("pending", None, now, None)
    row_id = driver.execute(DELIVERY, (*state, course.request_id, digest(body), body, then, then, then)).lastrowid
    if is_applied:
        values = (now, row_id, course.avatar_id, course.request_id, course.name, course.user_id, course.chat_id)
        driver.execute(MESSAGE, (*values, course.language, then, then, then))
    return course


def _bygone(number: int, chance: random.Random, ended: float, world: Any) -> Course:
    """Make a training that ended so many (negative) seconds from now, and whose webhook was taken."""
    course = courses.draw(2_000_000 + number, 0.0, chance, [])
    course.end, course.mood, course.is_submitted, course.shelf = "success", None, False, "there"
    course.trainer = "portrait"
    course.begins = ended - course.waits - course.works
    job, shelves = courses.prepare(course, random.Random(0), world.unix() + course.begins)
    world.fal.jobs[course.request_id] = job
    world.fal.shelves |= shelves
    world.courses[course.request_id] = course
    body = course.sayings[0].body
    course.signed[digest(body)] = body
    course.acknowledged.add(digest(body))
    course.has_row = True
    return course


def _make_avatar(driver: sqlite3.Connection, course: Course, then: str) -> None:
    driver.execute(NEW_USER, (course.user_id, str(course.chat_id), course.language, course.zone))
    driver.execute(NEW_AVATAR, (course.avatar_id, course.user_id, course.name, course.type, then, then))


def _old_row(driver: sqlite3.Connection, number: int, chance: random.Random, world: Any) -> None:
    """Store a training of days ago, which nobody waits for any more: told, untold, never heard of, forgotten."""
    days = chance.choice(DAYS_OLD)
    course = _bygone(number, chance, -days * DAY, world)
    course.is_touched = True
    then = world.spelled(course.ends)
    _make_avatar(driver, course, then)
    how = chance.choice(("told", "told", "unsent", "historic", "emptied", "orphan", "late orphan", "before us"))
    course.is_emptied = how == "emptied"
    status = {"told": "completed", "unsent": "completed", "before us": "completed"}.get(how, "training")
    if how != "late orphan":
        driver.execute(
            "UPDATE avatars SET fal_request_id = ?, status = ?, diffusers_lora_file_url = ? WHERE id = ?",
            (course.request_id, status, _artifact(course) if status == "completed" else None, course.avatar_id),
        )
    if how in ("historic", "before us"):
        return
    body = course.sayings[0].body
    came = world.spelled(-LATE_ORPHAN) if how == "late orphan" else then
    state: tuple[object, ...] = {
        "emptied": ("dead", "orphan", then, then), "orphan": ("dead", "orphan", then, then),
        "late orphan": ("pending", "orphan", world.spelled(60.0), None),
    }.get(how, ("done", "completed", then, then))  # fmt: skip
    kept = None if how == "emptied" else body
    row_id = driver.execute(DELIVERY, (*state, course.request_id, digest(body), kept, came, came, came)).lastrowid
    if how in ("told", "unsent"):
        values = (then, row_id, course.avatar_id, course.request_id, course.name, course.user_id, course.chat_id)
        made = driver.execute(MESSAGE, (*values, course.language, then, then, then))
        state = ("unsent", "no_token", then) if how == "unsent" else ("sent", None, then)
        driver.execute(
            "UPDATE webhook_notifications SET state = ?, reason = ?, finished_at = ? WHERE id = ?",
            (*state, made.lastrowid),
        )
        if how == "told":
            world.telegram.seen[course.avatar_id, course.request_id, "ready"] += 1


def _artifact(course: Course) -> str:
    return next(iter(sorted(course.artifacts)))
