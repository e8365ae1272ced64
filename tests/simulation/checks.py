"""The promises, looked at after every event (I1-I4, I11), every few minutes (I9, I10, bounds) and at the end.

What is true, `Course` knows; what the database says is read here over a connection of our own.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.simulation.course import Course

# A job whose delivery is in the inbox is not asked about.
RESTS = (
    " AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.request_id = one.request_id AND d.state = 'pending')"
)
OPERATORS = frozenset({"alert", "resolved", "digest", "test"})


class Violation(Exception):
    """A promise was broken: which one, of which request, how."""

    def __init__(self, promise: str, request_id: str, how: str) -> None:
        super().__init__(f"{promise}: {how}")
        self.promise = promise
        self.request_id = request_id
        self.how = how

    def __reduce__(self) -> tuple[Any, ...]:
        return Violation, (self.promise, self.request_id, self.how)


class Checker:
    """Raises Violation. `courses` are the trainings so far, by request id."""

    def __init__(self, path: Path, world: Any) -> None:
        self._path = path
        self._world = world
        self._driver: sqlite3.Connection | None = None
        self.looks = 0

    @property
    def driver(self) -> sqlite3.Connection:
        """A connection that only reads."""
        if self._driver is None:
            self._driver = sqlite3.connect(self._path, timeout=30)
            self._driver.row_factory = sqlite3.Row
        return self._driver

    def rows(self, statement: str, *values: object) -> list[sqlite3.Row]:
        """Read."""
        return self.driver.execute(statement, values).fetchall()

    def course(self, request_id: str | None) -> Course | None:
        """Find a training by fal's id."""
        found: Course | None = self._world.courses.get(request_id)
        return found

    # After every commit

    def look_at(self, notes: list[tuple[str, int, str]], *, by_server: bool) -> None:
        """Hold the rows that one commit touched to the truth."""
        for table, rowid, what in dict.fromkeys(notes):
            self.looks += 1
            if what == "delete":
                if table != "webhook_alerts":
                    raise Violation("I1", "", f"row {rowid} of {table} was deleted")
                continue
            if table == "webhook_deliveries":
                self._delivery(rowid)
            elif table == "webhook_notifications":
                self._message(rowid)
            elif table == "webhook_jobs":
                self._job(rowid)
            elif table == "avatars" and by_server:
                self._avatar(rowid)

    def _delivery(self, rowid: int) -> None:
        row = self.rows("SELECT * FROM webhook_deliveries WHERE rowid = ?", rowid)[0]
        request_id = row["request_id"]
        if (row["finished_at"] is None) != (row["state"] == "pending"):
            raise Violation("I2", request_id, f"delivery {rowid} is {row['state']}, finished at {row['finished_at']}")
        course = self.course(request_id)
        if row["source"] == "webhook":
            if course is None or row["body_sha256"] not in course.signed:
                raise Violation("I4", request_id, f"delivery {rowid} was never signed by fal")
            body = row["body"]
            if body is None and row["state"] not in ("done", "ignored"):
                raise Violation("I1", request_id, f"delivery {rowid} lost its body while it is {row['state']}")
            if body is not None and bytes(body) != course.signed[row["body_sha256"]]:
                raise Violation("I1", request_id, f"delivery {rowid} holds other bytes than fal sent")
        if row["reason"] == "bug":
            raise Violation("I9", request_id, f"delivery {rowid} met a bug: {str(row['detail'])[-300:]}")

    def _job(self, rowid: int) -> None:
        row = self.rows("SELECT * FROM webhook_jobs WHERE rowid = ?", rowid)[0]
        if (row["finished_at"] is None) != (row["state"] in ("pending", "historic")):
            raise Violation("I2", row["request_id"], f"job {rowid} is {row['state']}, finished {row['finished_at']}")

    def _avatar(self, rowid: int) -> None:
        row = self.rows("SELECT * FROM avatars WHERE rowid = ?", rowid)[0]
        request_id, status = row["fal_request_id"], str(row["status"]).lower()
        course = self.course(request_id)
        if course is None:
            raise Violation("I4", str(request_id), "the server wrote into an avatar that fal knows nothing of")
        artifact = row["finetune_id"] if row["training_type"] == "style" and row["finetune_id"] else None
        artifact = artifact or row["diffusers_lora_file_url"]
        if status not in ("completed", "error"):
            raise Violation("I2", request_id, f"the server wrote the status {status}")
        if status == "completed" and artifact not in course.artifacts:
            raise Violation("I2", request_id, f"completed with {artifact}, which fal never made")
        if status == "error" and not course.can_fail and not self._world.may_be_gone(course):
            raise Violation("I2", request_id, "an error was written that fal never told")
        if status == "error" and artifact is not None:
            raise Violation("I2", request_id, f"an error beside the artifact {artifact}")

    def _message(self, rowid: int) -> None:
        row = self.rows("SELECT * FROM webhook_notifications WHERE rowid = ?", rowid)[0]
        meaning = (row["avatar_id"], row["request_id"], row["kind"])
        if (row["finished_at"] is None) != (row["state"] == "pending"):
            raise Violation("I2", row["request_id"], f"message {rowid} is {row['state']} and has {row['finished_at']}")
        self._count(row, self._world.telegram.seen[meaning])
        if row["state"] == "sent" and not self._world.telegram.seen[meaning]:
            raise Violation("I3", row["request_id"], f"message {rowid} is marked sent, and nobody saw it")
        if row["reason"] == "bug":
            raise Violation("I9", row["request_id"], f"message {rowid} met a bug: {str(row['detail'])[-300:]}")
        course = self.course(row["request_id"])
        if row["kind"] in OPERATORS:
            return
        if course is None:
            raise Violation("I4", row["request_id"], f"message {rowid} is about nothing that fal knows")
        if row["kind"] == "ready" and not course.artifacts:
            raise Violation("I2", row["request_id"], "an owner is to hear ready of a training without an artifact")
        if row["kind"] == "failed" and not course.can_fail and not self._world.may_be_gone(course):
            raise Violation("I2", row["request_id"], f"an owner is to hear of a failure ({row['cause']}) that was none")

    def seen(self, meaning: tuple[str, str, str], chat: int) -> None:
        """Hold a message that has just reached somebody to its row (I3)."""
        subject, request_id, topic = meaning
        found = self.rows(
            "SELECT * FROM webhook_notifications WHERE avatar_id = ? AND request_id = ? AND kind = ?", *meaning
        )
        if not found:
            if topic in OPERATORS:  # told past the outbox
                return
            raise Violation("I3", request_id, f"{topic} was told to {chat} and stands nowhere")
        self._count(found[0], self._world.telegram.seen[meaning])
        topics = [heard for heard in self._world.telegram.order[chat] if heard[:2] == (subject, request_id)]
        if topic == "failed" and any(heard[2] == "ready" for heard in topics):
            raise Violation("I3", request_id, "an owner heard failed after ready")

    def _count(self, row: sqlite3.Row, seen: int) -> None:
        """At most one message, and one more for each send of unknown outcome, which is counted."""
        allowed = (row["state"] == "sent") + row["uncertain"] + (row["reason"] == "sending")
        if seen > allowed:
            how = f"{row['kind']} was seen {seen} times; {row['state']}, {row['reason']}, {row['uncertain']} uncertain"
            raise Violation("I3", row["request_id"], how)

    def answered(self, course: Course, digest: str, status: int, seconds: float) -> None:
        """Hold an answer to a delivery to its promises (I1, I5)."""
        if seconds > 10.0 or status == 0:
            raise Violation("I5", course.request_id, f"answered {status} after {seconds:.1f} s")
        if 300 <= status < 400 or status in (500, 502, 504):
            raise Violation("I5", course.request_id, f"answered {status}")
        if 200 <= status < 300 and not self.rows(
            "SELECT 1 FROM webhook_deliveries WHERE request_id = ? AND body_sha256 = ?", course.request_id, digest
        ):
            raise Violation("I1", course.request_id, "a delivery was acknowledged that is not in the inbox")
        if status in (401, 403) and self._world.weather.is_fair():
            raise Violation("I1", course.request_id, f"a genuine delivery was refused with {status} in fair weather")

    def forged(self, kind: str, status: int) -> None:
        """Hold the answer to a forgery (I4)."""
        if status < 400 and not ("clock" in kind and self._world.clock_offset):
            raise Violation("I4", "", f"a forgery ({kind}) was answered {status}")

    # Every few minutes

    def overdue(self, before: str) -> Iterator[Violation]:
        """Rows that are due and that nobody takes, while the world allows it."""
        for table in ("webhook_deliveries", "webhook_notifications", "webhook_jobs"):
            rests = "" if table != "webhook_jobs" else RESTS
            for row in self.rows(
                f"SELECT * FROM {table} one WHERE state = 'pending' AND due_at < ?{rests} LIMIT 3", before
            ):
                yield Violation("due", row["request_id"], f"row {row['id']} of {table} is due since {row['due_at']}")

    def far(self, after: str) -> Iterator[Violation]:
        """Rows that rest for longer than anything may."""
        for table in ("webhook_deliveries", "webhook_jobs"):
            for row in self.rows(f"SELECT * FROM {table} WHERE state = 'pending' AND due_at > ? LIMIT 3", after):
                yield Violation("due", row["request_id"], f"row {row['id']} of {table} rests until {row['due_at']}")

    def settled(self, course: Course) -> str | None:
        """Say why the owner of an ended training is still without a word; None where all is well (I10)."""
        if not course.has_row or course.is_begun_anew or course.is_cancelled or course.is_touched:
            return None
        messages = self.rows(
            "SELECT kind, state, reason FROM webhook_notifications "
            "WHERE request_id = ? AND kind IN ('ready', 'failed')",
            course.request_id,
        )
        if any(row["state"] != "pending" for row in messages):
            return None
        if messages:
            return f"{messages[0]['kind']} is owed and {messages[0]['reason']}"
        deliveries = self.rows(
            "SELECT state, reason FROM webhook_deliveries WHERE request_id = ? OR fal_request_id = ?",
            course.request_id, course.request_id,
        )  # fmt: skip
        if any(row["state"] == "dead" for row in deliveries):
            return None  # the operator's, who has an alert
        jobs = self.rows(
            "SELECT state, reason, outcome, stage FROM webhook_jobs WHERE request_id = ?", course.request_id
        )
        if any(row["state"] == "dead" or row["outcome"] == "superseded" for row in jobs):
            return None
        if course.is_meddled and any(row["state"] == "done" for row in deliveries):
            return None  # the bot completed it in its own words, and told its owner itself
        told = [dict(row) for row in [*deliveries, *jobs]]
        return f"nothing is owed; {told}"

    def spoilt(self, course: Course) -> str | None:
        """Say how the row of an ended job stands against the truth; None where it does not (I11)."""
        if not course.has_row or course.is_begun_anew or course.is_cancelled or course.is_touched:
            return None
        job = self.rows("SELECT * FROM webhook_jobs WHERE request_id = ?", course.request_id)
        row = self.rows("SELECT * FROM avatars WHERE fal_request_id = ?", course.request_id)
        if not job or not row or job[0]["outcome"] not in ("completed", "failed"):
            return None
        status = str(row[0]["status"]).lower()
        wanted = {"completed": "completed", "failed": "error"}[job[0]["outcome"]]
        if status != wanted:
            return f"the job {job[0]['outcome']}, the row stands at {status}"
        held = {row[0]["diffusers_lora_file_url"], row[0]["finetune_id"]} - {None, ""}
        if wanted == "completed" and not held & course.artifacts:
            return f"the row holds {held}"
        return None
