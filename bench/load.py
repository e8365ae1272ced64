"""One run of wrk: the same tool, script and file for everything that is measured."""

import json
import resource
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.files import Deliveries
from bench.processes import Running

SCRIPT = Path(__file__).with_name("walk.lua")
MARGIN = 60  # s beyond its duration after which wrk is given up


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw, and what the run cost."""

    requests_per_second: float  # answered 2xx
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    ok: int
    non_2xx: int
    statuses: dict[str, int]
    socket_errors: int
    timeouts: int
    wrapped: bool  # the file was too short, and ids came again
    server_cpu_us: float  # user and system time of all servers per answer
    wrk_cores: float  # how much of a core the load itself took; near 1 it is what limits


@dataclass(frozen=True, slots=True)
class Target:
    """The processes that are measured, and where they are reached: one address each, or one before them all."""

    servers: Sequence[Running]
    origins: Sequence[str]

    def cpu_seconds(self) -> float:
        """Return the user and system time of all servers so far."""
        return sum(server.cpu_seconds() for server in self.servers)


def put_under_load(target: Target, deliveries: Deliveries, answered: Path, *, seconds: int, connections: int) -> Load:
    """Run wrk against each origin, the connections and deliveries shared out; ids answered 2xx go to `answered`.

    With more than one origin the latencies are those of the slower one.
    """
    parts = [answered.with_suffix(f".{number}") for number in range(len(target.origins))]
    cpu_before, own_before = target.cpu_seconds(), children_cpu()
    running = [
        subprocess.Popen(
            [
                *("wrk", "-t1", f"-c{connections // len(parts)}", f"-d{seconds}s", "--timeout", "10s"),
                *("-s", str(SCRIPT), origin, "--", str(deliveries.path), str(part), f"{part}.json"),
                *(str(number), str(len(parts))),
            ],
            stdout=subprocess.DEVNULL,
        )
        for number, (origin, part) in enumerate(zip(target.origins, parts, strict=True))
    ]
    for process in running:
        if process.wait(seconds + MARGIN):
            raise RuntimeError(f"wrk ended with {process.returncode}")
    cpu, own = target.cpu_seconds() - cpu_before, children_cpu() - own_before
    with answered.open("wb") as together:
        for part in parts:
            together.write(part.read_bytes())
    return _merged([json.loads(Path(f"{part}.json").read_text(encoding="ascii")) for part in parts], cpu, own)


def children_cpu() -> float:
    """Return the user and system time of the processes that this one has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _merged(seen: Sequence[dict[str, Any]], cpu: float, own: float) -> Load:
    statuses: Counter[str] = Counter()
    for one in seen:
        statuses.update(one["statuses"])
    ok, seconds = sum(one["ok"] for one in seen), max(one["seconds"] for one in seen)
    return Load(
        requests_per_second=sum(one["ok"] / one["seconds"] for one in seen),
        seconds=seconds,
        p50_ms=max(one["p50_ms"] for one in seen),
        p99_ms=max(one["p99_ms"] for one in seen),
        max_ms=max(one["max_ms"] for one in seen),
        ok=ok,
        non_2xx=sum(one["non_2xx"] for one in seen),
        statuses=dict(statuses),
        socket_errors=sum(one["socket_errors"] for one in seen),
        timeouts=sum(one["timeouts"] for one in seen),
        wrapped=any(one["turns"] for one in seen),
        server_cpu_us=cpu / max(ok, 1) * 1e6,
        wrk_cores=own / seconds / len(seen),
    )
