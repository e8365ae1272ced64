"""The measurements: designs in turns under load, starts, and rest."""

import shutil
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.tls.certificates import ensure_pair
from bench.designs import Design
from bench.files import (
    Deliveries,
    Stored,
    check_stored,
    copy_database,
    count_applied,
    make_database,
    write_deliveries,
)
from bench.load import Load, put_under_load
from bench.processes import MIB, Running
from bench.starting import Twins, start_baseline, start_ours

MOST_PER_SECOND = 9_000  # deliveries signed for each second of load; a server that answers more meets ids again
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
    rss_peak_mib: float
    pss_peak_mib: float
    work: Work | None = None
    stored: Stored | None = None


@dataclass(frozen=True, slots=True)
class Starts:
    """Seconds from the start of the process to the first 200 of /readyz, and the memory at that moment."""

    fresh: list[float]
    existing: list[float]
    fresh_rss_mib: float
    fresh_pss_mib: float
    existing_rss_mib: float
    existing_pss_mib: float


class Bench:
    """Everything that one invocation shares."""

    def __init__(self, scratch: Path, twin: Twins, *, seconds: int, connections: int) -> None:
        self._scratch = scratch
        self._twin = twin
        self._seconds = seconds
        self._connections = connections
        self._pair = (scratch / "pair" / "certificate.pem", scratch / "pair" / "key.pem")
        ensure_pair(*self._pair, "aibots.kz", datetime.fromtimestamp(time.time(), UTC))
        self._folders = 0

    def prepare_round(self) -> tuple[Deliveries, Path, Path]:
        """Sign what this round sends; make a database that knows it all and one that knows nothing."""
        deliveries = write_deliveries(self._scratch / "deliveries.bin", self._twin.key, MOST_PER_SECOND * self._seconds)
        known, unknown = self._scratch / "known.db", self._scratch / "unknown.db"
        for path, request_ids in ((known, deliveries.request_ids), (unknown, [])):
            path.unlink(missing_ok=True)
            make_database(path, request_ids)
        return deliveries, known, unknown

    def measure(self, design: Design, deliveries: Deliveries, known: Path, unknown: Path) -> Run:
        """Start a design, load it, stop it, look at what it left."""
        folder = self._folder(design.kind)
        if design.kind == "ours":
            database = self._database(folder, known if design.known else unknown)
            return self._measure_ours(design, deliveries, folder, database)
        more = {}
        if design.kind == "plain":
            more["DATABASE"] = str(copy_database(known, folder / "aisha.db", journal="DELETE"))
        pair = self._pair if design.tls else None
        with start_baseline(self._scratch, folder, design.kind, pair, more) as server:
            load = self._load(server, deliveries, folder)
            work = _work(folder / "aisha.db", load) if design.kind == "plain" else None
        shutil.rmtree(folder)
        return Run(design.name, load, server.rss_peak / MIB, server.pss_peak / MIB, work)

    def _measure_ours(self, design: Design, deliveries: Deliveries, folder: Path, database: Path) -> Run:
        with start_ours(self._scratch, folder, self._twin, tls=design.tls) as server:
            load = self._load(server, deliveries, folder)
            work = _work(database, load) if design.known else None
        stored = check_stored(database, folder / "answered.txt")
        shutil.rmtree(folder)
        return Run(design.name, load, server.rss_peak / MIB, server.pss_peak / MIB, work, stored)

    def starts(self, times: int) -> Starts:
        """Start over TLS on nothing at all, and again on what the first start left: database, certificate, keys."""
        fresh: list[float] = []
        existing: list[float] = []
        sizes: list[tuple[float, float]] = []
        folder = self._folder("start")
        for turn in range(times + 1):
            shutil.rmtree(folder)
            for seconds in (fresh, existing):
                with start_ours(self._scratch, folder, self._twin, tls=True) as server:
                    seconds.append(server.ready_after)
                if turn:
                    sizes.append((server.rss_peak / MIB, server.pss_peak / MIB))
        # The first turn writes the .pyc files.
        return Starts(
            fresh[1:],
            existing[1:],
            *map(statistics.median, zip(*sizes[::2], strict=True)),
            *map(statistics.median, zip(*sizes[1::2], strict=True)),
        )

    def idle(self, seconds: float) -> float:
        """Return the CPU that a server without work takes, in percent of one core."""
        folder = self._folder("idle")
        with start_ours(self._scratch, folder, self._twin, tls=True) as server:
            time.sleep(2)
            before, began = server.cpu_seconds(), time.monotonic()
            time.sleep(seconds)
            return (server.cpu_seconds() - before) / (time.monotonic() - began) * 100

    def _load(self, server: Running, deliveries: Deliveries, folder: Path) -> Load:
        answered = folder / "answered.txt"
        return put_under_load(server, deliveries, answered, seconds=self._seconds, connections=self._connections)

    def _folder(self, name: str) -> Path:
        self._folders += 1
        folder = self._scratch / f"{self._folders:03d}-{name}"
        folder.mkdir()
        return folder

    @staticmethod
    def _database(folder: Path, source: Path) -> Path:
        (folder / "data").mkdir()
        return copy_database(source, folder / "data" / "aisha.db")


def _work(database: Path, load: Load) -> Work:
    applied = while_loaded = count_applied(database)
    began = time.monotonic()
    while applied < load.ok and time.monotonic() - began < CATCH_UP_WITHIN:
        time.sleep(LOOK_EVERY)
        applied = count_applied(database)
    return Work(while_loaded, applied, time.monotonic() - began)
