"""The bot, played: its rows, and what it does to them beside the server (docs/bot-database.md)."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from tests.simulation.course import Course, until
from tests.simulation.ledger import Ledger
from tests.simulation.newer_bot import TABLE
from tests.simulation.storage import Storage, Touched

NEW_USER = (
    "INSERT INTO users (id, telegram_id, language_code, timezone, is_blocked) VALUES (?, ?, ?, ?, FALSE) "
    "ON CONFLICT DO NOTHING"
)
NEW_AVATAR = (
    "INSERT INTO avatars (id, user_id, name, training_type, status, training_progress, avatar_data, fal_response_data, "
    "created_at, updated_at) VALUES (?, ?, ?, ?, 'photos_uploading', 0, '{}', '{}', ?, ?)"
)
REFUSES = (
    "CREATE TRIGGER IF NOT EXISTS simulation_refuses BEFORE UPDATE ON avatars "
    "WHEN NEW.status IN ('completed', 'error') "
    "AND NEW.id IN (SELECT id FROM simulation_refused) BEGIN SELECT RAISE(ABORT, 'a constraint of the bot'); END"
)
REFUSES_ON_POSTGRESQL = (
    """
CREATE OR REPLACE FUNCTION simulation_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF lower(NEW.status::text) IN ('completed', 'error')
     AND EXISTS (SELECT FROM simulation_refused one WHERE one.id = NEW.id::text)
  THEN RAISE check_violation USING MESSAGE = 'a constraint of the bot'; END IF;
  RETURN NEW;
END $$
""",
    """
CREATE OR REPLACE TRIGGER simulation_refuses BEFORE UPDATE ON avatars FOR EACH ROW EXECUTE FUNCTION simulation_refuse()
""",
)
NAMELESS = "@nobody"  # no chat can be named so
LATE = {0.2: 80.0, 3.0: 8.0, 31.0: 4.0, 300.0: 3.0, 1200.0: 1.0}  # s after the submission: how often (%)


class Bot:
    """Writes by a connection of its own; every write of it is one transaction."""

    def __init__(self, held: Storage, ledger: Ledger, now: Callable[[], str]) -> None:
        self._storage = held
        self._ledger = ledger
        self.now = now
        self._driver: Any = None
        self.on_write: Callable[[list[Touched]], None] = lambda _: None

    @property
    def driver(self) -> Any:
        """The connection, opened when the tables are there."""
        if self._driver is None:
            self._driver = self._storage.connect()
        return self._driver

    def write(self, what: str, *statements: tuple[str, tuple[object, ...]]) -> int:
        """Commit statements; return how many rows the last one touched."""
        self._storage.notes.clear()
        for statement, values in statements:
            touched = self.driver.execute(statement, values).rowcount
        self.driver.commit()
        notes, self._storage.notes = self._storage.notes, []
        self._ledger.note("bot", f"{what} {touched}")
        self.on_write(notes)
        return int(touched)

    async def begin(self, course: Course, chance: random.Random, late: float) -> None:
        """Make the rows, then write fal's id down (perhaps late), then the status, in a commit of its own."""
        self.make_avatar(course)
        await until(course.begins + late)
        statement = "UPDATE avatars SET fal_request_id = ?, status = 'training', updated_at = ? WHERE id = ?"
        if chance.random() < 0.5:  # the revision that commits both at once
            self.write(f"submits {course.number}", (statement, (course.request_id, self.now(), course.avatar_id)))
            course.has_row = True
            if chance.random() < 0.1:
                await until(course.begins + late + chance.choice((0.5, 5, 400)))
                self.set_back(course)
            return
        first = "UPDATE avatars SET fal_request_id = ?, updated_at = ? WHERE id = ?"
        self.write(f"notes the id of {course.number}", (first, (course.request_id, self.now(), course.avatar_id)))
        course.has_row = True
        await until(course.begins + late + chance.choice((0.05, 0.05, 0.5, 20)))
        self.set_back(course)

    def make_avatar(self, course: Course) -> None:
        """Make the rows of a training that nobody has submitted yet."""
        now = self.now()
        self.write(
            f"makes avatar {course.number}",
            (
                NEW_USER,
                (
                    course.user_id,
                    NAMELESS if course.mood == "nameless" else str(course.chat_id),
                    course.language,
                    course.zone,
                ),
            ),
            (NEW_AVATAR, (course.avatar_id, course.user_id, course.name, course.type, now, now)),
        )

    def refuse(self, course: Course) -> None:
        """Let a row take no end, as by a constraint that somebody added to the bot's tables."""
        course.is_refused = course.is_touched = True
        self.write(
            f"guards the row of {course.number}", ("INSERT INTO simulation_refused VALUES (?)", (course.avatar_id,))
        )

    async def name(self, course: Course, chance: random.Random) -> None:
        """Write down at last in which chat an owner is."""
        await until(course.begins + chance.choice((600, 1200, 4000)))
        statement = "UPDATE users SET telegram_id = ? WHERE id = ?"
        self.write(f"names the owner of {course.number}", (statement, (str(course.chat_id), course.user_id)))

    def set_back(self, course: Course) -> None:
        """Write the row back to its start, as a poller of an earlier age does."""
        self.meddles(course)
        statement = (
            "UPDATE avatars SET status = 'training', training_progress = 0, updated_at = ? WHERE fal_request_id = ?"
        )
        self.write(f"sets {course.number} to training", (statement, (self.now(), course.request_id)))

    @staticmethod
    def meddles(course: Course) -> None:
        """Note that the bot writes on its own."""
        course.is_meddled, course.meddled_at = True, asyncio.get_running_loop().time()

    async def give_up(self, course: Course, chance: random.Random) -> None:
        """Cancel a training, or begin anew with the same avatar: then nobody carries the request id any more."""
        await until(course.begins + chance.uniform(20, 400))
        if not course.has_row:
            return
        if chance.random() < 0.5:
            statement = "UPDATE avatars SET status = 'cancelled' WHERE fal_request_id = ? AND status = 'training'"
            course.is_cancelled = bool(self.write(f"cancels {course.number}", (statement, (course.request_id,))))
        else:
            course.is_begun_anew = True
            statement = "UPDATE avatars SET status = 'draft', fal_request_id = NULL WHERE fal_request_id = ?"
            self.write(f"begins anew with {course.number}", (statement, (course.request_id,)))


def open_tables(held: Storage, *, has_generations: bool = False) -> None:
    """Install the triggers that tell of every row, and the table that a bot of the newer kind may have."""
    driver = held.connect()
    if has_generations:
        driver.execute(TABLE)
    driver.execute("CREATE TABLE IF NOT EXISTS simulation_refused (id VARCHAR(36) PRIMARY KEY)")
    for statement in (REFUSES,) if held.is_sqlite else REFUSES_ON_POSTGRESQL:
        driver.execute(statement)
    held.install_triggers(driver)
    driver.close()
