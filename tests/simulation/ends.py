"""Whether everything ends within its bound: looked at every few minutes, and when all is over (I10, I11, bounds)."""

from collections.abc import Callable, Iterator
from typing import Any

from tests.simulation.checks import Violation
from tests.simulation.course import OWN_ID, Course

# A job whose delivery is in the inbox is not asked about.
# A job waits for its delivery, and is due for as long as others may be when that one has come to nothing.
RESTS = (
    " AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d"
    " WHERE (d.request_id = one.request_id OR d.fal_request_id = one.request_id)"
    " AND (d.state = 'pending' OR d.finished_at >= ?))"
)
MET = 60.0  # s of fair weather within which a row that stands at training has its job
MAY_REST = frozenset({"slow_down", "paced", "awaits_alert", "awaits_account"})  # as long as others say


# Messages that are an operator's to mend: nobody can do anything about an owner who has left.
OF_OWNERS = "AND reason <> 'owner_unreachable' AND kind NOT IN ('alert', 'resolved', 'digest', 'test')"


class Ends:
    """What is due, what rests, what is owed. `rows` reads the database; `fair_between` counts fair seconds."""

    def __init__(self, rows: Any, fair_between: Callable[[float, float], float], *, is_keyless: bool = False) -> None:
        self.rows = rows
        self._fair_between = fair_between
        self.is_keyless = is_keyless  # no key of fal's is set

    def overdue(self, before: str) -> Iterator[Violation]:
        """Rows that are due and that nobody takes, while the world allows it."""
        asked = () if self.is_keyless else ("webhook_jobs",)  # without a key they are looked at one by one, in vain
        for table in ("webhook_deliveries", "webhook_notifications", *asked):
            rests, since = ("", ()) if table != "webhook_jobs" else (RESTS, (before,))
            for row in self.rows(
                f"SELECT * FROM {table} one WHERE state = 'pending' AND due_at < ?{rests} LIMIT 3", before, *since
            ):
                yield Violation("due", row["request_id"], f"row {row['id']} of {table} is due since {row['due_at']}")

    def far(self, after: str) -> Iterator[Violation]:
        """Rows that rest for longer than anything may."""
        for table in ("webhook_deliveries", "webhook_jobs"):
            for row in self.rows(f"SELECT * FROM {table} WHERE state = 'pending' AND due_at > ? LIMIT 3", after):
                yield Violation("due", row["request_id"], f"row {row['id']} of {table} rests until {row['due_at']}")

        for row in self.rows(
            "SELECT * FROM webhook_notifications WHERE state = 'pending' AND due_at > ? LIMIT 40", after
        ):
            if row["reason"] not in MAY_REST:
                yield Violation("due", row["request_id"], f"message {row['id']} rests until {row['due_at']}")

    def untold(self, before: str) -> Iterator[Violation]:
        """What is the operator's to decide, and of what nobody told him."""
        for table, alert, mended in (
            ("webhook_deliveries", "deliveries_buried", ""),
            ("webhook_notifications", "notifications_buried", OF_OWNERS),
        ):
            dead = self.rows(f"SELECT * FROM {table} WHERE state = 'dead' AND finished_at < ? {mended} LIMIT 1", before)
            if dead and not self.rows("SELECT 1 FROM webhook_alerts WHERE name = ? AND resolved_at IS NULL", alert):
                how = f"row {dead[0]['id']} of {table} is dead, and no alert is open"
                yield Violation("alerts", dead[0]["request_id"], how)

    def settled(self, course: Course) -> str | None:
        """Say why the owner of an ended training is still without a word; None where all is well (I10)."""
        if course.is_generation:
            return self._settled_images(course)
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
        if self.is_keyless and any(row["reason"] == "no_fal_key" for row in [*deliveries, *jobs]):
            return None  # the operator has an alert; nobody can be asked
        if course.is_meddled and any(row["state"] == "done" for row in deliveries):
            return None  # the bot completed it in its own words, and told its owner itself
        if not deliveries and not jobs and self._is_ended_unseen(course):
            return None  # a row that was finished before anybody could meet it is the doctor's to find
        told = [dict(row) for row in [*deliveries, *jobs]]
        return f"nothing is owed; {told}"

    def _is_ended_unseen(self, course: Course) -> bool:
        """Tell whether the bot itself ended a training within less than a fair minute, and no webhook came through."""
        is_unseen = self._fair_between(course.begins, course.meddled_at) < MET
        return course.is_meddled and not course.acknowledged and is_unseen

    def _settled_images(self, course: Course) -> str | None:
        if not course.is_registered or course.is_cancelled or course.is_touched:
            return None
        rows = self.rows(
            "SELECT state FROM webhook_notifications WHERE request_id = ? AND kind IN ('images', 'images_failed') "
            "UNION ALL SELECT state FROM webhook_deliveries WHERE request_id = ? AND state = 'dead' "
            "UNION ALL SELECT state FROM webhook_jobs WHERE request_id = ? AND state = 'dead'",
            *[course.request_id] * 3,
        )
        if any(row["state"] != "pending" for row in rows):
            return None
        return None if self._waits_for_a_key(course) else "nothing was told of the images"

    def _waits_for_a_key(self, course: Course) -> bool:
        rows = self.rows(
            "SELECT 1 FROM webhook_jobs WHERE request_id = ? AND reason = 'no_fal_key' "
            "UNION ALL SELECT 1 FROM webhook_deliveries WHERE request_id = ? AND reason = 'no_fal_key'",
            *[course.request_id] * 2,
        )
        return self.is_keyless and bool(rows)

    def heard(self, course: Course) -> str | None:
        """Say how the server has heard of a request; None where nobody came through to it with one."""
        if course.acknowledged:
            return "its webhook was acknowledged"
        if course.is_registered:
            return "the bot registered it"
        if self.rows("SELECT 1 FROM avatars WHERE fal_request_id = ?", course.request_id):
            return "a row of the bot's carries it"
        return None

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
        if wanted == "completed" and not held & {*course.artifacts, OWN_ID.format(course.number)}:
            return f"the row holds {held}"
        return None
