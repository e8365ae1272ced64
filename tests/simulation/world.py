"""A world: two processes of the server, one database, fal, Telegram, the bot, an operator, and a seed for all of it."""

import asyncio
import math
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from app.db.migrate import migrate
from tests.fakes import START
from tests.simulation import bot as bots
from tests.simulation import certificates, earlier, settings, troubles
from tests.simulation import course as courses
from tests.simulation.bot import Bot
from tests.simulation.chance import stream
from tests.simulation.checks import Checker, Violation
from tests.simulation.course import Course
from tests.simulation.ends import Ends
from tests.simulation.fal import Fal
from tests.simulation.ledger import Ledger
from tests.simulation.network import Network
from tests.simulation.newer_bot import NewerBot
from tests.simulation.operator import Operator
from tests.simulation.plan import DAY, Plan
from tests.simulation.quiet import Stirring
from tests.simulation.sender import Sender
from tests.simulation.server import Server
from tests.simulation.storage import Storage
from tests.simulation.telegram import Telegram
from tests.simulation.temper import Temper
from tests.simulation.trainings import Trainings
from tests.simulation.troubles import Act
from tests.simulation.virtual_loop import OWNER
from tests.simulation.watchman import Watchman
from tests.simulation.weather import Weather

KEYLESS = 0.1  # of the worlds begin while fal's keys cannot be had


@dataclass
class World:
    """Everything there is in one run. `folder` is empty at its start."""

    plan: Plan
    folder: Path
    loop: Any
    log_path: Path | None = None
    template: Path | None = None
    url: str = ""  # of an empty database; a file in `folder` unless given
    clock_offset: float = 0.0
    crashes: int = 0
    is_failing: int = 0  # troubles in which nearly every training fails
    old_rows: int = 0  # of bygone days, which nobody plays
    is_over: bool = False  # what comes now is fair weather
    courses: dict[str, Course] = field(default_factory=dict)
    violation: Violation | None = None

    def __post_init__(self) -> None:
        self.seed = self.plan.seed
        self.failed = asyncio.Event()
        self.ledger = Ledger(self.loop.time, self.log_path)
        self.ledger.on_log = self._hear
        self.weather = Weather(self.loop.time, stream(self.seed, "weather"))
        self.path = self.folder / "aisha.db"
        self.url = self.url or f"sqlite:///{self.path}"
        self.storage = Storage(self.url, self.weather, stream(self.seed, "storage"), self.ledger)
        self.network = Network(self.weather, stream(self.seed, "network"), self.ledger, self._date)
        self.fal = Fal(self.unix, self.seed)
        self.fal.unit = stream(self.seed, "prices").choice(("1000 steps", "1000 steps", "step", "training", "second"))
        self.telegram = Telegram(time=self.loop.time)
        self.bot = Bot(self.storage, self.ledger, lambda: self.now().isoformat(sep=" ")[:26])
        self.checker = Checker(self)
        self.stirring = Stirring(self._next_due)
        self._due: float | None = None
        self.temper = Temper.of(self.seed)
        self.settings = settings.draw(self.seed, self.url, self.folder)
        self.ends = Ends(self.checker.rows, self.weather.fair_between, is_keyless=self.settings.fal_api_key is None)
        self.servers = [self._server("a", 0.0), self._server("b", 0.4)]
        self.sender = Sender(self.fal, self.servers, self.weather, stream(self.seed, "sender"), self.ledger)
        self.sender.is_behind = f"{settings.PROXY}/32" in self.settings.forwarded_allow_ips
        self.operator = Operator(self)
        self.newer_bot = NewerBot(self)
        self.trainings = Trainings(self)
        self.context = copy_context()
        self.watchman = Watchman(self)
        self._connect()

    def _server(self, name: str, skew: float) -> Server:
        chance = stream(self.seed, f"server {name}")
        return Server(name, self.settings, self.ledger, chance, lambda: self.clock_offset + skew)

    def _connect(self) -> None:
        self.network.places = [
            ("queue.fal.run/", "queue", self.fal.queue),
            ("api.fal.ai/v1/meta", "meta", self.fal.meta),
            ("api.fal.ai/", "platform", self.fal.platform),
            ("rest.fal.ai/storage/", "storage", self.fal.storage),
            ("rest.", "keys", self.fal.published_keys),
            ("v3.fal.media/", "cdn", self.fal.cdn),
            ("api.telegram.org/", "telegram", self.telegram.answer),
            ("ping.example/", "ping", self.fal.meta),
        ]
        self.stirring.is_alarmed = lambda: not self.weather.is_fair()
        self.stirring.times = self._times
        self.stirring.next_sweep = self._next_sweep
        self.storage.on_commit = self._committed
        self.bot.on_write = self._bot_wrote
        self.telegram.on_seen = lambda meaning, chat: self.hold(self.checker.seen, meaning, chat)
        self.telegram.on_rushed = lambda chat, left: self.hold(self.checker.rushed, chat, left)
        self.network.on_gone = self.fal.miss
        self.fal.on_submit, self.fal.on_cancel = self.trainings.submitted, self.trainings.cancelled
        self.sender.on_answer = lambda *answer: self.hold(self.checker.answered, *answer)
        self.sender.on_forged = lambda *answer: self.hold(self.checker.forged, *answer)

    # Time

    def unix(self) -> float:
        """Seconds since 1970, as the world has them."""
        return START.timestamp() + float(self.loop.time())

    def now(self) -> datetime:
        """The time as the world has it."""
        return START + timedelta(seconds=self.loop.time())

    def _date(self) -> str:
        return format_datetime(datetime.fromtimestamp(int(self.unix()), UTC), usegmt=True)

    def spelled(self, seconds: float) -> str:
        """Spell the moment so many seconds from now as the server's columns do, by the server's clock."""
        return f"{self.now() + timedelta(seconds=self.clock_offset + seconds):%Y-%m-%d %H:%M:%S.%f}"

    def _next_due(self) -> float:
        if self._due is None:
            found = self.checker.rows(
                "SELECT min(due) FROM (SELECT min(due_at) AS due FROM webhook_deliveries WHERE state = 'pending' "
                "UNION ALL SELECT min(due_at) FROM webhook_notifications WHERE state = 'pending' "
                "UNION ALL SELECT min(due_at) FROM webhook_jobs j WHERE state = 'pending' AND request_id IS NOT NULL "
                "AND NOT EXISTS "
                "(SELECT 1 FROM webhook_deliveries d WHERE d.request_id = j.request_id AND d.state = 'pending')"
                ") AS dues"
            )[0][0]
            due = math.inf
            if found is not None:
                due = (datetime.fromisoformat(found).replace(tzinfo=UTC) - START).total_seconds()
            self._due = due
        return self._due - self.clock_offset

    def _next_sweep(self) -> float:
        if not self.newer_bot.submitted:
            return math.inf
        found = self.checker.rows(
            "SELECT min(due_at) FROM webhook_jobs WHERE state = 'pending' AND request_id IS NULL"
        )[0][0]
        if found is None:
            return math.inf
        due = (datetime.fromisoformat(found).replace(tzinfo=UTC) - START).total_seconds()
        return due - self.clock_offset

    def _times(self) -> float:
        """The second replica rests longer from what the first one does."""
        return 4.0 if self.servers[0].is_up and str(OWNER.get()).startswith("b") else 1.0

    # What happens

    def hold(self, check: Any, *args: Any, **options: Any) -> None:
        """Make a check; the first violation ends the run."""
        if self.violation is not None:
            return
        try:
            check(*args, **options)
        except Violation as violation:
            self.fail(violation)

    def fail(self, violation: Violation) -> None:
        """End the run with a broken promise."""
        if self.violation is None:
            self.violation = violation
            self.ledger.note("world", f"VIOLATION {violation} {violation.request_id}")
            self.failed.set()

    def _committed(self, life: Any, notes: list[Any]) -> None:
        if notes:
            self._due = None
            self.stirring.stir()
            self.hold(self.checker.look_at, notes, by_server=True, by_operator=not life.is_server)

    def _bot_wrote(self, notes: list[Any]) -> None:
        self._due = None
        self.stirring.stir(bot=True)
        self.hold(self.checker.look_at, notes, by_server=False)

    def _hear(self, event: str, facts: dict[str, Any], error: object) -> None:
        """Bugs that the server survives are bugs all the same."""
        course = self.courses.get(str(facts.get("request_id", "")))
        is_refused = course is not None and course.is_refused
        if event in BUGS and not is_refused and not isinstance(error, TimeoutError):
            self.fail(Violation("bug", str(facts.get("request_id", "")), f"{event}: {error!r}"))

    def may_be_gone(self, course: Course) -> bool:
        """Tell whether fal has forgotten the result of a training."""
        forgotten = self.fal.jobs[course.request_id].forgotten_at
        return forgotten is not None and self.unix() + max(0.0, self.clock_offset) >= forgotten

    # A run

    async def run(self) -> None:
        """Live through the plan and the hours after it."""
        self._prepare()
        everything = asyncio.ensure_future(self._all())
        failed = asyncio.ensure_future(self.failed.wait())
        await asyncio.wait({everything, failed}, return_when=asyncio.FIRST_COMPLETED)
        if everything.done():
            everything.result()
        self.ledger.note("world", f"ends after {self.loop.time():.3f}")

    def _prepare(self) -> None:
        certificates.prepare(self)
        if self.storage.is_sqlite and earlier.is_drawn(self.seed):
            for course in earlier.make(self.path, self):
                self.begin(self.trainings.expect(course))
        elif self.template is not None:
            self.path.write_bytes(self.template.read_bytes())
        else:
            migrate(self.url)
        for server in self.servers:
            server.on_migrated = lambda: bots.open_tables(self.storage)
        bots.open_tables(self.storage, has_generations=self.newer_bot.has_table)

    async def _all(self) -> None:
        for server in self.servers:
            self.begin(server.supervise())
        for work in (*self.trainings.all(), self.watchman.walk(), self.operator.work()):
            self.begin(work)
        for act in self.plan.acts:
            self.begin(self._play(act))
        if stream(self.seed, "first minutes").random() < KEYLESS:
            self.begin(self._play(Act(0.0, "no keys can be had", f"{self.seed}:act:first")))
        await courses.until(self.plan.days * DAY)
        self.ledger.note("world", "fair weather to the end")
        self.is_over = True
        self.weather.clock_went_back(self.clock_offset)
        self.weather.clear_up()
        self.clock_offset = 0.0
        for server in self.servers:
            server.start()
        await self.watchman.end()

    def begin(self, work: Any) -> None:
        """Begin a task of the world's own."""
        task = self.loop.create_task(work, context=self.context.copy())  # nobody's, whoever begins it
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.error = error
            self.fail(Violation("simulation", "", f"{type(error).__name__}: {error}"))

    _tasks: set[Any] = field(default_factory=set)
    error: BaseException | None = None

    async def _play(self, act: Act) -> None:
        await courses.until(act.at)
        if self.loop.time() < self.plan.days * DAY:
            await troubles.play(act, self)


BUGS = frozenset({
    "worker.step_failed", "delivery.bug", "delivery.apply_failed", "notification.failed", "task.died",
    "job.look_failed", "artifact.look_failed", "artifact.looks_broke", "record.failed",
})  # fmt: skip
