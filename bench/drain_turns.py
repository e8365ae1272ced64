"""The measurements of the drain: applying, poison, telling, the way of a single delivery, rest."""

import http.client
import random
import ssl
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from app.twins.bodies import success
from app.twins.signing import ACCOUNT, sign
from bench.drain_books import Books, Pace, know, new_ids, poison
from bench.drain_server import Stage
from bench.processes import TICKS
from bench.serving import PATH
from bench.shelf import Shelf

LOOK_EVERY = 0.25  # s between two looks at a count
DRAIN_WITHIN = 120.0  # s
SPACING = (0.06, 0.14)  # s between the end of one delivery's way and the next delivery


class TooSlow(Exception):
    """Something did not come to its end in time."""


@dataclass(frozen=True, slots=True)
class Applied:
    """How fast one process, or several, applied a backlog."""

    engine: str
    processes: int
    rows: int
    poisoned: int
    per_second: float
    first_fifth: float
    last_fifth: float
    seconds: float
    cpu_us: float | None  # of the process, per row


@dataclass(frozen=True, slots=True)
class Told:
    """How fast owners were told."""

    engine: str
    processes: int
    rate: str
    rows: int
    per_second: float
    calls: int  # that the Bot API saw for these rows, repeats included
    cpu_us: float  # of all telling processes, per message


@dataclass(frozen=True, slots=True)
class Ways:
    """Milliseconds from the 200 in the client's hands to the call of the Bot API, one delivery at a time."""

    engine: str
    from_ack: list[float]
    ack: list[float]  # from the first byte sent to the 200, a new TLS connection each


def apply_by_server(stage: Stage, shelf: Shelf, rows: int, poisoned: int = 0) -> tuple[Applied, Books]:
    """Start the real server, at its default settings, on a backlog, and wait until it is applied."""
    books = shelf.new()
    request_ids = shelf.filled(books, rows)
    sick = request_ids[rows // poisoned // 2 :: rows // poisoned] if poisoned else []
    if sick:
        poison(books, sick)
    with stage.server(books, tls=False) as server:
        until(lambda: books.applied() >= rows - len(sick))
        cpu = server.cpu_seconds()
    pace = books.pace("webhook_deliveries", "done")
    return _applied(shelf.engine, 1, pace, len(sick), cpu / rows * 1e6), books


def apply_by_workers(stage: Stage, shelf: Shelf, rows: int, processes: int) -> Applied:
    """The same with the worker's apply job in several processes."""
    books = shelf.new()
    shelf.filled(books, rows)
    with ExitStack() as stack:
        for _ in range(processes):
            stack.enter_context(stage.worker(books, "apply"))
        until(lambda: books.applied() >= rows)
    return _applied(shelf.engine, processes, books.pace("webhook_deliveries", "done"), 0, None)


def tell(stage: Stage, books: Books, *, amount: int, processes: int, unpaced: bool = True) -> Told:
    """Tell at least `amount` owners of those that still wait, by the notify job."""
    before, seen = books.told(), len(stage.telegram_log()["calls"])
    with ExitStack() as stack:
        pids = [stack.enter_context(stage.worker(books, "notify", unpaced=unpaced)) for _ in range(processes)]
        used = sum(map(_cpu, pids))
        until(lambda: books.told() >= before + amount)
        used = sum(map(_cpu, pids)) - used
    told = books.told() - before
    calls = stage.telegram_log()["calls"][seen:]
    moments = sorted(call["at"] for call in calls)
    pace = Pace([(at, 1) for at in moments])
    return Told(
        books.engine,
        processes,
        "none" if unpaced else "25/s",
        told,
        pace.per_second(),
        len(calls),
        used / told * 1e6,
    )


def single_ways(stage: Stage, shelf: Shelf, amount: int) -> Ways:
    """Send deliveries one at a time to a real server over TLS that has nothing else to do."""
    books, request_ids = shelf.new(), new_ids(amount + 5)
    know(books, request_ids)
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    answered: list[float] = []
    took: list[float] = []
    seen = len(stage.telegram_log()["calls"])
    with stage.server(books, tls=True, TELEGRAM_RATE="1000") as server:
        time.sleep(1)
        for request_id in request_ids:
            began = time.time()
            _deliver(server.port, trust, request_id, stage)
            answered.append(time.time())
            took.append((answered[-1] - began) * 1e3)
            time.sleep(random.uniform(*SPACING) + 0.1)
        until(lambda: books.told() >= len(request_ids))
    # Each delivery has an owner of its own and they went out one at a time, so the calls are in their order.
    calls = [call["at"] for call in stage.telegram_log()["calls"][seen:]]
    assert len(calls) == len(request_ids), "a delivery was told twice or not at all"
    ways = [(call - ack) * 1e3 for call, ack in zip(calls, answered, strict=True)]
    return Ways(shelf.engine, ways[5:], took[5:])  # the first ones warm up


def rest(stage: Stage, shelf: Shelf, seconds: float) -> float:
    """Return the CPU that a server without work takes, in percent of one core."""
    with stage.server(shelf.new(), tls=True) as server:
        time.sleep(3)
        before, began = server.cpu_seconds(), time.monotonic()
        time.sleep(seconds)
        return (server.cpu_seconds() - before) / (time.monotonic() - began) * 100


def _deliver(port: int, trust: ssl.SSLContext, request_id: str, stage: Stage) -> None:
    body = success(request_id)
    headers = {"Content-Type": "application/json", **sign(stage.twin.key, request_id, ACCOUNT, int(time.time()), body)}
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=trust, timeout=10)
    try:
        connection.request("POST", PATH, body, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
    finally:
        connection.close()


def _applied(engine: str, processes: int, pace: Pace, poisoned: int, cpu_us: float | None) -> Applied:
    first, last = pace.fifths()
    return Applied(engine, processes, pace.rows, poisoned, pace.per_second(), first, last, pace.seconds, cpu_us)


def until(reached: Callable[[], bool]) -> None:
    """Look again and again. Raises TooSlow after DRAIN_WITHIN."""
    over = time.monotonic() + DRAIN_WITHIN
    while not reached():
        if time.monotonic() > over:
            raise TooSlow
        time.sleep(LOOK_EVERY)


def _cpu(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123  a file of the kernel
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
