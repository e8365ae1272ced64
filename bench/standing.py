"""What a server costs without a load: from its start until it is ready, and at rest; versions in turns."""

import shutil
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.designs import Kind
from bench.processes import MIB, Running
from bench.starting import Twins, start_server
from bench.versions import Version

RESTS = 3  # turns that are followed by a rest
SETTLE = 2.0  # s from ready until rest is measured


@dataclass(slots=True)
class Starts:
    """Seconds from the start of the process to the first 200 of /readyz, and the peak of the memory until then."""

    fresh: list[float] = field(default_factory=list)
    existing: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    pss_mib: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Rest:
    """CPU without work, in percent of one core, and the memory at its end."""

    cpu_percent: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    pss_mib: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Standing:
    """Both, for one version."""

    starts: Starts
    rest: Rest

    def ready(self) -> float:
        """Return the median over fresh and existing databases."""
        return statistics.median([*self.starts.fresh, *self.starts.existing])


def measure_standing(
    scratch: Path, twin: Twins, versions: Mapping[Kind, Version], *, times: int, seconds: float
) -> dict[Kind, Standing]:
    """Start each version `times` over TLS on nothing and on what that left, then let it rest, in turns."""
    found: dict[Kind, Standing] = {kind: Standing(Starts(), Rest()) for kind in versions}
    for turn in range(times + 1):
        for kind, version in versions.items():
            folder = scratch / f"standing-{kind}"
            shutil.rmtree(folder, ignore_errors=True)
            # The first turn writes the .pyc files.
            starts = Starts() if turn == 0 else found[kind].starts
            with start_server(version, scratch, folder, twin, tls=True) as server:
                starts.fresh.append(server.ready_after)
            with start_server(version, scratch, folder, twin, tls=True) as server:
                starts.existing.append(server.ready_after)
                server.look_at_memory()
                starts.rss_mib.append(server.rss_peak / MIB)
                starts.pss_mib.append(server.pss_peak / MIB)
                if turn and turn <= RESTS:
                    _rest(server, found[kind].rest, seconds)
    return found


def _rest(server: Running, rest: Rest, seconds: float) -> None:
    time.sleep(SETTLE)
    before, began = server.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    rest.cpu_percent.append((server.cpu_seconds() - before) / (time.monotonic() - began) * 100)
    rss, pss = server.resident()
    rest.rss_mib.append(rss / MIB)
    rest.pss_mib.append(pss / MIB)
