"""Where the simulation takes the place of the world: time, transactions, requests, the machine; nothing else.

`install` is called once in a process of its own, before `app` is imported anywhere else.
"""

import random
import socket
from importlib import import_module
from typing import Any

import structlog

import app.core.logger  # noqa: F401  it configures structlog, which is done anew here
from app import application
from app.core.clock import SystemClock
from app.db import engine, migrate
from app.http_client.client import HttpClient, HttpReply
from tests.simulation.quiet import QuietWorker
from tests.simulation.replaced import replace
from tests.simulation.virtual_loop import OWNER

running: Any = import_module("app.bootstrap.running")
TUNE, INIT, WORD = engine.tune_sqlite, engine.Database.__init__, running.word


def install(world: Any) -> None:
    """Put the world in the place of the real one, for the rest of this process."""
    random.seed(f"{world.seed}:server")
    structlog.configure(processors=[world.ledger.hear], cache_logger_on_first_use=False)
    _install_time(world)
    _install_storage(world)
    _install_network(world)
    _install_machine(world)


def _install_time(world: Any) -> None:
    def now(_self: SystemClock) -> Any:
        owner: Any = OWNER.get()
        return world.now() if owner is None else owner.now()

    replace(SystemClock, "now", now)


def _install_storage(world: Any) -> None:
    def tune(made: Any) -> None:
        TUNE(made)
        world.storage.watch(made)

    async def run(self: Any, threads: Any, function: Any, args: Any, kwargs: Any) -> Any:
        return await world.storage.run(self, threads, function, args, kwargs)

    def make(self: Any, *args: Any) -> None:
        INIT(self, *args)
        if not self.is_sqlite:
            world.storage.watch(self.engine)
        owner: Any = OWNER.get()
        if owner is not None:
            owner.databases.append(self)

    async def listen(*_given: Any) -> None:
        """Hear nothing of what other processes announce: the poll finds what is due."""

    replace(running, "listen", listen)
    replace(engine, "tune_sqlite", tune)
    replace(migrate, "tune_sqlite", tune)
    replace(engine.Database, "_run", run)
    replace(engine.Database, "__init__", make)


def _install_network(world: Any) -> None:
    async def ask(self: HttpClient, method: str, url: Any, limit: int, on_head: Any, **sent: Any) -> HttpReply:
        reply = await world.network.exchange(method, url, sent.get("headers") or {}, sent.get("data"))
        if on_head is not None and not on_head(reply.status, reply.headers):
            return HttpReply(reply.status, reply.headers, b"")
        return HttpReply(reply.status, reply.headers, reply.body[: limit + 1])

    def word(notification: Any, *args: Any, **options: Any) -> Any:
        message = WORD(notification, *args, **options)
        world.telegram.expect(notification, message)
        return message

    replace(HttpClient, "_ask", ask)
    replace(running, "word", word)


def _install_machine(world: Any) -> None:
    def leave() -> None:
        owner: Any = OWNER.get()
        owner.die("because its disk failed")

    replace(running, "_leave", leave)
    replace(application, "Worker", QuietWorker)  # but for turns that would find nothing
    QuietWorker.stirring = world.stirring
    replace(socket, "gethostname", lambda: "machine-" + str(OWNER.get()).partition(".")[0])
