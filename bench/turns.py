"""The measurements: designs in turns under load."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.tls.certificates import ensure_pair
from bench.designs import STEADY_RATE, Design, Kind
from bench.drain_books import Books
from bench.files import Deliveries, Stored, check_stored, count_applied, write_deliveries
from bench.front import nginx
from bench.load import Load, Target, put_under_load
from bench.processes import MIB
from bench.rounds import Databases
from bench.shelf import remove
from bench.starting import Twins, slow_fsync, start_baseline, start_server
from bench.steady import steady_load
from bench.versions import Version
from bench.watchers import watching

TOKEN = "bench-" + "0123456789abcdef" * 3  # of the operator whose pages are open
MOST_PER_SECOND = 14_000  # deliveries signed for each second of load; a server that answers more meets ids again
CATCH_UP_WITHIN = 20.0  # s that a design is given after the load to apply what it has answered
LOOK_EVERY = 0.25  # s between two looks how far it is


@dataclass(frozen=True, slots=True)
class Work:
    """What was done about the deliveries, during the load and after it."""

    applied_while_loaded: int
    applied: int
    caught_up_after: float  # s after the load; CATCH_UP_WITHIN when it was not done by then

    def per_second(self, seconds_of_load: float) -> float:
        """Return the trainings applied per second from the first delivery to the last one applied."""
        return self.applied / (seconds_of_load + self.caught_up_after)


@dataclass(frozen=True, slots=True)
class Run:
    """One design under load once."""

    design: str
    load: Load
    rss_peak_mib: float  # of the largest process
    pss_peak_mib: float
    work: Work | None = None
    stored: Stored | None = None


class Bench:
    """Everything that one invocation shares."""

    def __init__(
        self,
        scratch: Path,
        twin: Twins,
        versions: Mapping[Kind, Version],
        postgres: Callable[[], str],
        *,
        seconds: int,
        connections: int,
        pause: float,
    ) -> None:
        self._scratch = scratch
        self._twin = twin
        self._versions = versions
        self._seconds = seconds
        self._connections = connections
        self._pause = pause  # s before a load that writes: the second of two in a row got a third less than the first
        self._databases = Databases(scratch, versions, postgres)
        self._pair = (scratch / "pair" / "certificate.pem", scratch / "pair" / "key.pem")
        ensure_pair(*self._pair, "aibots.kz", datetime.fromtimestamp(time.time(), UTC))
        self._folders = 0

    def prepare_round(self) -> Deliveries:
        """Sign what a round, or a part of one, sends; what knows the deliveries before these is forgotten."""
        self._databases.forget()
        return write_deliveries(self._scratch / "deliveries.bin", self._twin.key, MOST_PER_SECOND * self._seconds)

    def measure(self, design: Design, deliveries: Deliveries) -> Run:
        """Start a design, load it, stop it, look at what it left."""
        self._folders += 1
        folder = self._scratch / f"{self._folders:03d}-{design.kind}"
        folder.mkdir()
        try:
            return self._measure(design, deliveries, folder)
        finally:
            shutil.rmtree(folder)

    def _measure(self, design: Design, deliveries: Deliveries, folder: Path) -> Run:
        books: Books | None = None
        if design.kind != "echo":
            place = folder / "0" / "data" / "aisha.db" if design.is_server else folder / "aisha.db"
            books = self._databases.database(design, deliveries, place)
        with self._running(design, folder, books) as target:
            load = self._load(design, target, deliveries, folder)
            work = _work(books, load) if books is not None and design.known and not design.backlog else None
        stored = None
        if books is not None and design.is_server:
            stored = check_stored(books, folder / "answered.txt")
            remove(books)
        rss, pss = (max(sizes) / MIB for sizes in zip(*[(s.rss_peak, s.pss_peak) for s in target.servers], strict=True))
        return Run(design.name, load, rss, pss, work, stored)

    @contextmanager
    def _running(self, design: Design, folder: Path, books: Books | None) -> Iterator[Target]:
        with ExitStack() as stack:
            if design.is_server:
                assert books is not None
                servers = [
                    stack.enter_context(
                        start_server(
                            self._versions[design.kind],
                            self._scratch,
                            folder / str(number),
                            self._twin,
                            tls=design.tls,
                            prefix=slow_fsync(design.fsync_ms) if design.fsync_ms else (),
                            more=_settings(design, books),
                        )
                    )
                    for number in range(design.replicas)
                ]
            else:
                pair = self._pair if design.tls else None
                more = {} if books is None else {"DATABASE": str(folder / "aisha.db")}
                servers = [stack.enter_context(start_baseline(self._scratch, folder, design.kind, pair, more))]
            origins: Sequence[str] = [server.origin for server in servers]
            if design.front:
                ports = [server.port for server in servers]
                kept_alive = design.front == "nginx, kept alive"
                origins = [stack.enter_context(nginx(folder / "nginx", ports, kept_alive=kept_alive))]
            if design.pages:
                stack.enter_context(watching(origins[0], TOKEN, design.pages))
            yield Target(servers, origins)

    def _load(self, design: Design, target: Target, deliveries: Deliveries, folder: Path) -> Load:
        answered = folder / "answered.txt"
        os.sync()  # what was prepared, and what the design before left, would be written with this one's commits
        if design.is_server:
            time.sleep(self._pause)
        if design.backlog:
            return steady_load(target, deliveries, answered, seconds=self._seconds, rate=STEADY_RATE)
        connections = design.connections or self._connections
        return put_under_load(target, deliveries, answered, seconds=self._seconds, connections=connections)


def _settings(design: Design, books: Books) -> dict[str, str]:
    database = {"DATABASE_URL": books.url} if design.engine == "PostgreSQL" else {}
    return database | ({"DASHBOARD_TOKEN": TOKEN} if design.pages else {})


def _work(books: Books, load: Load) -> Work:
    applied = while_loaded = count_applied(books)
    began = time.monotonic()
    while applied < load.ok and time.monotonic() - began < CATCH_UP_WITHIN:
        time.sleep(LOOK_EVERY)
        applied = count_applied(books)
    return Work(while_loaded, applied, time.monotonic() - began)
