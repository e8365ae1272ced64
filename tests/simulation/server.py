"""Processes of the server: the real application, from its start-up checks to its stop, and what supervises it."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import Context, copy_context
from datetime import datetime, timedelta
from typing import Any

from app.application import create_app, enclose
from app.bootstrap.database import check_database
from app.core.config import Settings
from app.db.engine import Database, open_database
from app.db.migrate import migrate
from app.domain.errors import DatabaseBehind, DatabaseUnavailable
from app.server.lifespan import HOOKS
from tests.fakes import START
from tests.simulation import certificates, storage
from tests.simulation.ledger import Ledger
from tests.simulation.virtual_loop import OWNER, SimulatedTask

RESTART = (1.0, 6.0)  # s until a supervisor starts a process again that has ended
FAREWELL = 10.0  # s that requests under way have at a stop
HOST = b"aibots.kz"


Work = Callable[[Database, "Life"], Awaitable[Any]]


class Refused(Exception):
    """Nobody listens."""


class Broken(Exception):
    """The connection broke before the answer."""


class Life:
    """One run of one process. What it has begun ends with it; what it is to do after that is not done."""

    def __init__(self, name: str, ledger: Ledger, skew: Callable[[], float], *, is_server: bool = True) -> None:
        self.name = name
        self.is_server = is_server
        self.is_dead = False
        self.is_up = False
        self.asgi: Any = None
        self.hooks: Any = None
        self.stopping = asyncio.Event()
        self.databases: list[Any] = []
        self._ledger = ledger
        self._skew = skew
        self._tasks: dict[int, SimulatedTask] = {}
        self.context: Context = copy_context()
        self.context.run(OWNER.set, self)
        self.on_death: Callable[[str], None] = lambda _: None
        self.on_migrated: Callable[[], None] = lambda: None
        self.under_way = 0
        self._frozen_until = 0.0
        self.freezes: tuple[str, float] | None = None  # at which part's next answer, for how long (s)

    def __str__(self) -> str:
        return self.name

    def now(self) -> datetime:
        """The time as this machine has it."""
        return START + timedelta(seconds=asyncio.get_running_loop().time() + self._skew())

    def adopt(self, task: SimulatedTask) -> None:
        """Take a task that this process has begun."""
        if len(self._tasks) > 500:
            self._tasks = {number: one for number, one in self._tasks.items() if not one.done()}
        self._tasks[task.number] = task
        if self.is_dead:
            task.cancel()

    def must_live(self) -> None:
        """End whoever asks, where the process is dead."""
        if self.is_dead:
            raise asyncio.CancelledError

    def freeze(self, seconds: float) -> None:
        """Let nothing of this process go on for so long, as where its machine is suspended."""
        loop: Any = asyncio.get_running_loop()
        self._ledger.note(self.name, f"freezes for {seconds} s")
        self._frozen_until = loop.time() + seconds
        loop.freeze(self, self._frozen_until)

    def freeze_at(self, part: str) -> None:
        """Freeze now if it is this part's answer at which the process is to freeze."""
        if self.freezes is not None and self.freezes[0] == part:
            (_, seconds), self.freezes = self.freezes, None
            self.freeze(seconds)

    def begin(self, work: Any) -> SimulatedTask:
        """Begin a task of this process."""
        return asyncio.get_running_loop().create_task(work, context=self.context.copy())  # type: ignore[return-value]  # the loop makes these

    def die(self, where: str) -> None:
        """End at once, as by SIGKILL."""
        if self.is_dead:
            return
        self._ledger.note(self.name, f"dies {where}")
        self.is_dead, self.is_up = True, False
        loop: Any = asyncio.get_running_loop()
        loop.thaw(self)
        for task in list(self._tasks.values()):
            task.cancel()
        for database in self.databases:
            storage.close(database)
        self.on_death(where)

    async def live(self, settings: Settings) -> None:
        """Start, serve until told to stop, stop."""
        try:
            await check_database(settings)
        except DatabaseBehind:
            migrate(settings.database_url.get_secret_value())
            self.on_migrated()
            self._ledger.note(self.name, "migrates")
        tls = certificates.load(settings)
        app = create_app(settings, tls)
        self.asgi = enclose(app, settings)
        async with app.router.lifespan_context(app) as state:
            self.hooks = (state or {})[HOOKS]
            self.is_up = True
            self._ledger.note(self.name, "is up")
            while tls is not None and not self.stopping.is_set():
                tls.refresh(self.now())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), certificates.LOOKS)
            await self.stopping.wait()
            self.is_up = False
            self.hooks.on_stop()
            end = asyncio.get_running_loop().time() + FAREWELL
            while self.under_way and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110  a request ends without an event
                await asyncio.sleep(0.1)

    async def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        address: str,
        patience: float,
        is_slow: bool = False,
    ) -> tuple[int, bytes]:
        """Send a request to this process; the body of a slow one has no end.

        Raises Refused, Broken, and TimeoutError after `patience` seconds.
        """
        if not self.is_up:
            raise Refused
        path, _, query = path.partition("?")
        raw = [(b"host", HOST), *((name.lower().encode(), value.encode()) for name, value in headers.items())]
        if body and not is_slow:
            raw.append((b"content-length", str(len(body)).encode()))
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "https",
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "headers": raw,
            "client": (address, 40000), "server": ("aibots.kz", 8443), "state": {},
        }  # fmt: skip
        messages = [{"type": "http.request", "body": body, "more_body": is_slow}]
        answer: dict[str, Any] = {"status": 0, "body": b""}

        async def receive() -> dict[str, Any]:
            if not messages:
                await asyncio.get_running_loop().create_future()
            return messages.pop()

        async def send(message: dict[str, Any]) -> None:
            self.must_live()
            if message["type"] == "http.response.start":
                answer["status"] = message["status"]
            else:
                answer["body"] += message.get("body", b"")

        self.under_way += 1
        began = asyncio.get_running_loop().time()
        task = self.begin(self.asgi(scope, receive, send))
        try:
            await asyncio.wait({task}, timeout=patience)
        finally:
            self.under_way -= 1
        if self.is_dead or self._frozen_until > began:
            task.cancel()
            raise Broken
        if not task.done():
            task.cancel()
            raise TimeoutError
        if task.cancelled():
            raise Broken
        task.result()
        return answer["status"], answer["body"]


async def apart(name: str, settings: Settings, ledger: Ledger, skew: Callable[[], float], work: Work) -> Any:
    """Do something on the database in a process of its own, as a command does; return what it returned."""
    life = Life(name, ledger, skew, is_server=False)

    async def whole() -> Any:
        database = open_database(settings.database_url.get_secret_value())
        try:
            return await work(database, life)
        finally:
            await database.close()
            storage.close(database)

    return await life.begin(whole())


class Server:
    """A supervised process: started again whenever it ends, unless it was stopped."""

    def __init__(
        self, name: str, settings: Settings, ledger: Ledger, chance: random.Random, skew: Callable[[], float]
    ) -> None:
        self.name = name
        self._settings = settings
        self._ledger = ledger
        self._chance = chance
        self._skew = skew
        self.life: Life | None = None
        self.is_wanted = True
        self.starts = 0
        self._again = asyncio.Event()
        self.on_end: Callable[[], Awaitable[None] | None] = lambda: None
        self.on_migrated: Callable[[], None] = lambda: None

    @property
    def is_up(self) -> bool:
        return self.life is not None and self.life.is_up

    async def ask(self, *request: Any, **options: Any) -> tuple[int, bytes]:
        """Send a request to the process that runs now. Raises as Life.ask."""
        if self.life is None:
            raise Refused
        return await self.life.ask(*request, **options)

    async def supervise(self) -> None:
        """Run for ever."""
        while True:
            if not self.is_wanted:
                self._again.clear()
                await self._again.wait()
                continue
            self.starts += 1
            life = self.life = Life(f"{self.name}.{self.starts}", self._ledger, self._skew)
            life.on_migrated = self.on_migrated
            died = asyncio.Event()
            life.on_death = lambda _, died=died: died.set()  # type: ignore[misc]  # bound to this life
            task = life.begin(life.live(self._settings))
            death = asyncio.ensure_future(died.wait())
            await asyncio.wait({task, death}, return_when=asyncio.FIRST_COMPLETED)
            death.cancel()
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                self._ledger.note(life.name, f"ends with {type(error).__name__}")
                if not isinstance(error, DatabaseUnavailable):
                    raise error
            life.die("at its end")
            await asyncio.sleep(self._chance.uniform(*RESTART))

    def stop(self, *, again: bool) -> None:
        """Stop in order, as by SIGTERM; `again` starts the next process afterwards."""
        self.is_wanted = again
        if self.life is not None:
            self.life.stopping.set()

    def start(self) -> None:
        """Want it to run again."""
        self.is_wanted = True
        self._again.set()
