"""One run of wrk: the same tool, script and file for everything that is measured."""

import json
import resource
import subprocess
from dataclasses import dataclass
from pathlib import Path

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
    server_cpu_us: float  # user and system time of the server per answer
    wrk_cores: float  # how much of a core the load itself took; near 1 it is what limits


def put_under_load(server: Running, deliveries: Deliveries, answered: Path, *, seconds: int, connections: int) -> Load:
    """Run wrk against a server; the ids answered 2xx go to `answered`."""
    figures = answered.with_suffix(".json")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(SCRIPT), server.origin]
    command += ["--", str(deliveries.path), str(answered), str(figures)]
    cpu_before, own_before = server.cpu_seconds(), _children_cpu()
    subprocess.run(command, check=True, capture_output=True, timeout=seconds + MARGIN)
    cpu, own = server.cpu_seconds() - cpu_before, _children_cpu() - own_before
    seen = json.loads(figures.read_text(encoding="ascii"))
    return Load(
        requests_per_second=seen["ok"] / seen["seconds"],
        seconds=seen["seconds"],
        p50_ms=seen["p50_ms"],
        p99_ms=seen["p99_ms"],
        max_ms=seen["max_ms"],
        ok=seen["ok"],
        non_2xx=seen["non_2xx"],
        statuses=seen["statuses"],
        socket_errors=seen["socket_errors"],
        timeouts=seen["timeouts"],
        wrapped=seen["turns"] > 0,
        server_cpu_us=cpu / max(seen["ok"], 1) * 1e6,
        wrk_cores=own / seen["seconds"],
    )


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
