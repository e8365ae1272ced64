"""Looks every few minutes whether everything ends within its bound, and once more when all is over."""

import asyncio
import heapq
from typing import Any

from app.cli.why import lines
from app.db import schema
from app.db.engine import Database
from app.domain.invented import Invented
from app.domain.promise import HELD_FOR
from app.domain.story_reasons import DEAD_DELIVERY
from app.flows.why import why
from tests.simulation.checks import Violation
from tests.simulation.course import Course
from tests.simulation.server import Broken, Life, Refused, apart

EVERY = 120.0  # s between two looks
TAKEN = 180.0  # s that a due row may wait in fair weather
BOUND = HELD_FOR.total_seconds() + TAKEN  # s of fair weather within which an owner has a word
CLOSES = 4500.0  # s of calm after which an alert is over
REST = 2 * 3600.0  # s that a row of fal's may rest at most
TRIES = 6  # rows that a submission may leave which fal does not take
AFTER = 1.5 * 3600.0  # s that a run goes on in fair weather after its last day
MONITOR = 600.0  # s between two looks of somebody's monitor
# Alerts that may be open at the end: about what an operator has to decide, or what ends by itself after a day.
LASTING = frozenset({
    "deliveries_buried", "notifications_buried", "orphans_waiting", "jobs_overdue", "results_gone", "artifact_absent",
    "drift", "poller_seen", "failures_jumped", "foreign_deliveries", "fal_key_missing", "certificate_expiring",
    "certificate_expired", "certificate_refused",
})  # fmt: skip
UNKNOWN = frozenset({"wait.again", "wait.stage", "wait.server", "decide.other"})


class Watchman:
    """Holds the world to its bounds."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._expected: list[tuple[float, int, Course]] = []
        self.settled = 0
        self.explained = 0

    def expect(self, course: Course) -> None:
        """Expect that the owner of a training that has ended has a word soon."""
        heapq.heappush(self._expected, (self._world.weather.fair() + BOUND, course.number, course))

    async def walk(self) -> None:
        """Look for ever."""
        number = 0
        while True:
            await asyncio.sleep(EVERY)
            number += 1
            self._world.hold(self.look)
            if number % int(MONITOR / EVERY) == 0:
                for server in self._world.servers:
                    await self._monitor(server)

    def look(self) -> None:
        """Look once."""
        world = self._world
        if not world.weather.is_fair():
            return
        for violation in world.ends.overdue(world.spelled(-TAKEN)):
            raise violation
        for violation in world.ends.far(world.spelled(REST)):
            raise violation
        for violation in world.ends.untold(world.spelled(-BOUND)):
            raise violation
        if world.weather.calm() > CLOSES:
            self._closed(world.spelled(-CLOSES))
        self._look_at_the_ended()

    def _look_at_the_ended(self) -> None:
        """Hold the server to a word for each owner whose time is up, and to his row."""
        world = self._world
        fair = world.weather.fair()
        while self._expected and self._expected[0][0] <= fair:
            _, _, course = heapq.heappop(self._expected)
            if not course.has_row and not course.is_begun_anew and not course.is_generation:
                self.expect(course)
                continue
            if (why_not := world.ends.settled(course)) is not None:
                raise Violation("I10", course.request_id, why_not)
            if world.loop.time() - course.meddled_at < BOUND:
                self.expect(course)
                continue
            if (why_not := world.ends.spoilt(course)) is not None:
                raise Violation("I11", course.request_id, why_not)
            self.settled += 1

    async def _monitor(self, server: Any) -> None:
        """Ask as a load balancer and a monitor would."""
        if not server.is_up:
            return
        world = self._world
        for path in ("/metrics", "/api/v1/webhook/status"):  # two collectors at a time
            asked = [server.life.ask("GET", path, {}, b"", address="127.0.0.1", patience=30.0) for _ in range(2)]
            for said in await asyncio.gather(*asked, return_exceptions=True):
                if isinstance(said, Exception) and not isinstance(said, (Refused, Broken, TimeoutError)):
                    raise said
        for path in ("/health", "/livez", "/readyz", "/api/v1/health"):
            life, was_fair = server.life, world.weather.is_fair()
            try:
                status, body = await life.ask("GET", path, {}, b"", address="10.0.0.9", patience=30.0)
            except (Refused, Broken, TimeoutError):
                continue
            if path in ("/health", "/livez") and status != 200:
                world.fail(Violation("I8", "", f"{path} answered {status}"))
            elif status != 200 and was_fair and world.weather.is_fair() and not self._is_refused():
                world.fail(Violation("I9", "", f"{path} answered {status} in fair weather: {body[:300]!r}"))

    def _is_refused(self) -> bool:
        """Tell whether a row takes no end: what is to be written there fails again and again, and health says so."""
        return any(course.is_refused for course in self._world.courses.values())

    def _is_asked_to_rest(self) -> bool:
        """Tell whether a chat rests as Telegram asked, by a clock that was hours ahead perhaps."""
        now = self._world.spelled(0.0)
        return bool(
            self._world.checker.rows("SELECT 1 FROM webhook_slots WHERE bucket LIKE '%:asked' AND next_at > ?", now)
        )

    async def end(self) -> None:
        """Let fair hours pass, then hold everything to what must have become of it."""
        world = self._world
        await asyncio.sleep(AFTER)
        world.hold(self.look)
        world.hold(self._close)
        await self._explain()

    def _close(self) -> None:
        world = self._world
        for course in world.courses.values():
            if course.ends + 3600 > world.loop.time():
                continue
            if (why_not := world.ends.settled(course)) is not None:
                raise Violation("I10", course.request_id, why_not)
            if (why_not := world.ends.spoilt(course)) is not None:
                raise Violation("I11", course.request_id, why_not)
            if course.is_submitted and course.acknowledged and not course.has_row:
                raise Violation("I12", course.request_id, "its webhook came, and it is nobody's training")
        self._closed(world.spelled(0.0))
        self._bounded()
        if world.telegram.refused_markup:
            raise Violation("I3", "", f"Telegram refused markup: {world.telegram.refused_markup[0]}")
        if world.loop.errors:
            raise Violation("bug", "", f"nobody caught {world.loop.errors[0]}")

    def _closed(self, before: str) -> None:
        """Hold alerts that opened before a moment to be over, but for those that wait for an operator."""
        world = self._world
        found = world.checker.rows(
            "SELECT name, detail FROM webhook_alerts WHERE resolved_at IS NULL AND opened_at < ?", before
        )
        for row in found:
            name = row["name"].partition("@")[0]
            if name == "account_locked" and world.ends.is_keyless:
                continue  # nobody can ask whether it works again, and no training has succeeded since
            if name == "step_failing" and self._is_refused():
                continue
            if name == "notifications_late" and self._is_asked_to_rest():
                continue
            if name not in LASTING:
                raise Violation("alerts", "", f"{row['name']} is still open: {row['detail']}")

    def _bounded(self) -> None:
        """Hold the tables to a size that follows from the trainings."""
        world = self._world
        trainings, chats = len(world.courses) + len(world.newer_bot.submitted), len(world.courses)
        most = {
            "webhook_deliveries": 4 * trainings + world.old_rows + 100,
            "webhook_notifications": 3 * trainings + 4000,
            "webhook_jobs": trainings + TRIES * len(world.newer_bot.submitted) + world.old_rows + 10,
            "webhook_slots": 2 * chats + 10,
            "webhook_chores": 40,
            "webhook_alerts": 100,
            "webhook_totals": 100,
        }
        for table, bound in most.items():
            (count,) = world.checker.rows(f"SELECT count(*) FROM {table}")[0]
            if count > bound:
                raise Violation("bounds", "", f"{table} has {count} rows, more than {bound}")

    async def _explain(self) -> None:
        """Ask `why` about every request id: nothing may be unknown."""
        world = self._world
        if world.violation is not None:
            return
        for course in world.courses.values():
            story = await tell(world, course.request_id)
            last = story.waits_for or story.end
            self.explained += 1
            if not _is_heard_of(course):
                continue
            if last is not None and last.code == "wait.put_right" and course.ends + 3600 <= world.loop.time():
                world.fail(Violation("why", course.request_id, "it promises to put a row right, and nobody did"))
                return
            if last is None or last.code in UNKNOWN or (last.code == "decide.job" and not _is_named(last.facts)):
                facts = None if last is None else f"{last.code} {dict(last.facts)}"
                world.fail(Violation("why", course.request_id, f"nothing explains it: {facts}"))
                return
            if last.code == "end.never_heard" and (heard := world.ends.heard(course)) is not None:
                world.fail(Violation("why", course.request_id, f"it says that the server never heard of it; {heard}"))
                return
            list(lines(story, "en"))


def _is_heard_of(course: Course) -> bool:
    """Tell whether anybody told the server of a job: by a row, a registration, a webhook or fal's answer."""
    if course.is_generation:
        return course.is_registered or bool(course.acknowledged)
    return course.has_row or not course.is_submitted or bool(course.acknowledged)


def _is_named(facts: Any) -> bool:
    """Tell whether a job was given up for the reason of its delivery, which the operator has left as it is."""
    return dict(facts).get("reason") in DEAD_DELIVERY


async def tell(world: Any, request_id: str) -> Any:
    """Ask for the story of one request, as an operator would."""

    async def ask(database: Database, life: Life) -> Any:
        bot_tables = await schema.find_bot_tables(database)
        settings = world.settings
        invented, has_token = Invented.of(settings.invented_artifacts), settings.telegram_token is not None
        return await why(database, bot_tables, life, request_id, invented=invented, has_token=has_token)

    return await apart("why", world.settings, world.ledger, lambda: world.clock_offset, ask)
