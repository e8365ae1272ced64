"""The promises that every commit, answer and message is held to (I1-I6, I12).

What is true, `Course` knows; what the database says is read here over a connection of our own.
"""

from datetime import UTC, datetime
from typing import Any

from tests.simulation.course import OWN_ID, Course

PATIENCE = 23 * 3600.0  # s for which a delivery waits for its avatar at least
OPERATORS = frozenset({"alert", "resolved", "digest", "test"})
ENDS = frozenset({"ready", "failed", "images", "images_failed"})


def _unix(spelt: str) -> float:
    return datetime.fromisoformat(spelt).replace(tzinfo=UTC).timestamp()


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

    def __init__(self, world: Any) -> None:
        self._world = world
        self._driver: Any = None
        self.looks = 0
        self._states: dict[tuple[str, int], str] = {}  # of rows, as the last commit left them
        self._doubts: dict[int, int] = {}  # sends of unknown outcome, by message
        self._promised: dict[int, float] = {}  # when each message was owed
        self._succeeded: set[str] = set()  # request ids with which the server has completed an avatar

    @property
    def driver(self) -> Any:
        """A connection that only reads."""
        if self._driver is None:
            self._driver = self._world.storage.connect()
        return self._driver

    def rows(self, statement: str, *values: object) -> list[Any]:
        """Read; rows are as `sqlite3.Row`, on either database."""
        found: list[Any] = self.driver.execute(statement, values).fetchall()
        return found

    def course(self, request_id: str | None) -> Course | None:
        """Find a training by fal's id."""
        found: Course | None = self._world.courses.get(request_id)
        return found

    # After every commit

    def look_at(self, notes: list[tuple[str, int, str]], *, by_server: bool, by_operator: bool = False) -> None:
        """Hold the rows that one commit touched to the truth."""
        self._by_operator = by_operator
        for table, rowid, what in sorted(dict.fromkeys(notes)):  # avatars first: they say whose training it is
            self.looks += 1
            if what == "delete":
                if table != "webhook_alerts":
                    raise Violation("I1", "", f"row {rowid} of {table} was deleted")
                continue
            if table == "webhook_deliveries":
                self._delivery(rowid)
            elif table == "webhook_notifications":
                self._message(rowid, is_new=what == "insert")
            elif table == "webhook_jobs":
                self._job(rowid)
            elif table == "avatars" and by_server:
                self._avatar(rowid)

    def _delivery(self, rowid: int) -> None:
        row = self.rows("SELECT * FROM webhook_deliveries WHERE rowid = ?", rowid)[0]
        request_id = row["request_id"]
        if row["kind"] == "test":  # the operator's own, about nothing of the bot's
            return
        if (row["finished_at"] is None) != (row["state"] == "pending"):
            raise Violation("I2", request_id, f"delivery {rowid} is {row['state']}, finished at {row['finished_at']}")
        course = self.course(request_id)
        if course is not None:
            self._orphan(row, course)
        if row["source"] == "webhook":
            if course is None or row["body_sha256"] not in course.signed:
                raise Violation("I4", request_id, f"delivery {rowid} was never signed by fal")
            body = row["body"]
            if body is None and row["state"] not in ("done", "ignored") and not course.is_emptied:
                raise Violation("I1", request_id, f"delivery {rowid} lost its body while it is {row['state']}")
            if body is not None and bytes(body) != course.signed[row["body_sha256"]]:
                raise Violation("I1", request_id, f"delivery {rowid} holds other bytes than fal sent")
        if row["reason"] == "bug" and not (course is not None and course.is_refused):
            raise Violation("I9", request_id, f"delivery {rowid} met a bug: {str(row['detail'])[-300:]}")

    def _orphan(self, row: Any, course: Course) -> None:
        """Hold a delivery whose avatar the bot has not committed yet: it waits for a day (I10)."""
        if self._by_operator or course.is_generation or course.has_row or course.is_touched:
            return
        age = self._world.unix() - _unix(row["received_at"])
        is_over = row["state"] in ("done", "ignored") or (row["reason"] == "orphan" and row["state"] == "dead")
        if is_over and abs(age) < PATIENCE and not self._world.clock_offset:
            how = f"delivery {row['id']} is {row['state']} ({row['reason']}) after {age:.0f} s without its avatar"
            raise Violation("I10", course.request_id, how)

    def _goes_on(self, table: str, row: Any, over: frozenset[str]) -> None:
        """Hold a row to its last state: what is over stays over, unless an operator says otherwise (I2)."""
        before, now = self._states.get((table, row["id"])), row["state"]
        self._states[table, row["id"]] = now
        if before in over and now != before and not self._by_operator:
            how = f"row {row['id']} of {table} was {before} and is {now} ({row['reason']})"
            raise Violation("I2", row["request_id"], how)

    def _job(self, rowid: int) -> None:
        row = self.rows("SELECT * FROM webhook_jobs WHERE rowid = ?", rowid)[0]
        if (row["finished_at"] is None) != (row["state"] in ("pending", "historic")):
            raise Violation("I2", row["request_id"], f"job {rowid} is {row['state']}, finished {row['finished_at']}")
        self._goes_on("webhook_jobs", row, frozenset({"done"}))

    def _avatar(self, rowid: int) -> None:
        row = self.rows("SELECT * FROM avatars WHERE rowid = ?", rowid)[0]
        request_id, status = row["fal_request_id"], str(row["status"]).lower()
        course = self.course(request_id)
        if self._is_begun(course, row["id"], status):
            return
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
        # An id that the bot wrote before the end cannot be told from a real one.
        if status == "error" and artifact not in (None, OWN_ID.format(course.number)):
            raise Violation("I2", request_id, f"an error beside the artifact {artifact}")
        self._written(course, status, artifact)

    def _is_begun(self, course: Course | None, avatar_id: str, status: str) -> bool:
        """Tell whether the server has only put down that it submits a training, or that fal has taken it."""
        if course is None:
            return avatar_id in self._world.newer_bot.avatars
        if not course.is_submitted:
            return False
        course.has_row = True
        return status == "training"

    def _written(self, course: Course, status: str, artifact: str | None) -> None:
        """Hold an end that was written to what had been acknowledged, and to what can be had."""
        request_id = course.request_id
        if status == "error" and request_id in self._succeeded:
            raise Violation("I2", request_id, "an error was written over a success of this training")
        if status == "completed":
            self._succeeded.add(request_id)
        if status == "error" and not course.can_fail and course.is_plain and course.acknowledged:
            raise Violation("I1", request_id, "an error was written though fal's success had been acknowledged")
        if status == "completed" and self._world.settings.artifact_check == "require":
            shelf = self._world.fal.shelves.get(artifact)
            is_absent = shelf is not None and (shelf.is_empty or shelf.there_from > self._world.unix() + 1)
            if is_absent and self._world.weather.is_fair():
                raise Violation("I2", request_id, f"completed with {artifact}, which nobody can fetch")

    def _message(self, rowid: int, *, is_new: bool) -> None:
        row = self.rows("SELECT * FROM webhook_notifications WHERE rowid = ?", rowid)[0]
        meaning = (row["avatar_id"], row["request_id"], row["kind"])
        if (row["finished_at"] is None) != (row["state"] == "pending"):
            raise Violation("I2", row["request_id"], f"message {rowid} is {row['state']} and has {row['finished_at']}")
        self._count(row, self._world.telegram.seen[meaning])
        self._goes_on("webhook_notifications", row, frozenset({"sent"}))
        if row["uncertain"] > self._doubts.get(rowid, 0) and self._world.weather.is_fair():
            raise Violation("I3", row["request_id"], f"message {rowid} was sent in doubt in fair weather")
        self._doubts[rowid] = row["uncertain"]
        if row["state"] == "sent" and not self._world.telegram.is_seen(meaning):
            raise Violation("I3", row["request_id"], f"message {rowid} is marked sent, and nobody saw it")
        if row["reason"] == "bug":
            raise Violation("I9", row["request_id"], f"message {rowid} met a bug: {str(row['detail'])[-300:]}")
        self._proven(row, self._promised.setdefault(rowid, self._world.loop.time()))
        course = self.course(row["request_id"])
        if row["kind"] in OPERATORS:
            return
        if course is None:
            raise Violation("I4", row["request_id"], f"message {rowid} is about nothing that fal knows")
        if (
            is_new
            and row["kind"] in ENDS
            and self.rows("SELECT 1 FROM webhook_jobs WHERE request_id = ? AND state = 'pending'", row["request_id"])
        ):
            raise Violation("I11", row["request_id"], f"an owner is to hear {row['kind']} of a job that goes on")
        if row["kind"] == "ready" and not course.artifacts:
            raise Violation("I2", row["request_id"], "an owner is to hear ready of a training without an artifact")
        if row["kind"] == "failed" and not course.can_fail and not self._world.may_be_gone(course):
            raise Violation("I2", row["request_id"], f"an owner is to hear of a failure ({row['cause']}) that was none")

    def _proven(self, row: Any, promised_at: float) -> None:
        """Hold "you can begin again" to an order that fal took since, or to a training that was begun since (I10)."""
        is_let_through = row["kind"] == "account_back" and row["state"] == "pending" and row["reason"] is None
        if not is_let_through or self._world.network.took_at > promised_at:
            return
        since = "SELECT 1 FROM webhook_jobs WHERE outcome = 'completed' AND first_seen_at > ?"
        if not self.rows(since, row["applied_at"]):
            raise Violation("I10", row["request_id"], "an owner is to hear that the account works: nothing proves it")

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

    def _count(self, row: Any, seen: int) -> None:
        """At most one message, and one more for each send of unknown outcome, which is counted."""
        allowed = (row["state"] == "sent") + row["uncertain"] + (row["reason"] == "sending")
        allowed += -(-row["images_shown"] // 10)  # albums, each seen as one
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

    def rushed(self, chat: int, left: float) -> None:
        """Hold a message to a rest that Telegram asked for (I6)."""
        if self._world.weather.is_fair():
            raise Violation("I6", "", f"chat {chat} was written to {left:.0f} s before Telegram's rest was over")

    def forged(self, kind: str, status: int) -> None:
        """Hold the answer to a forgery (I4)."""
        if status < 400 and not ("clock" in kind and self._world.clock_offset):
            raise Violation("I4", "", f"a forgery ({kind}) was answered {status}")

    def submitted_twice(self, course: Course) -> None:
        """Hold submissions to one for each key."""
        raise Violation("I12", course.request_id, f"training {course.number} was submitted to fal twice")
