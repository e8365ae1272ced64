"""How many connections the memory there is can hold."""

import gc
from contextlib import suppress
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

PER_CONNECTION = 300_000  # bytes; 290,000 were measured under TLS, each with an unfinished request
CONNECTIONS_PART = 2  # connections may take 1/2 of the memory
FEWEST = 16  # the least that MAX_CONNECTIONS may be
CROWD = 32  # connections; the memory of fewer is not worth looking for
GONE = 4  # a crowd is gone when no more than 1/4 of it is left
ROOT = Path("/")
LIMITS = ("memory.max", "memory.high")  # of a cgroup (v2): what a container, or systemd's MemoryMax, gives


def fit_memory(connections: int, root: Path = ROOT) -> int:
    """Return how many connections fit into the memory there is, at most `connections`; say so where not all do.

    The memory is the least of the machine's and of the limits of our cgroup and those above it; unknown where `root`
    holds no /proc, and then nothing is taken away.
    """
    known = [*_machine(root), *_cgroups(root)]
    if not known:
        return connections
    memory = min(known)
    fitting = max(FEWEST, memory // CONNECTIONS_PART // PER_CONNECTION)
    if fitting >= connections:
        return connections
    log.warning("server.too_little_memory", memory_mib=memory >> 20, wanted=connections, connections=fitting)
    return fitting


class Crowd:
    """Tells when most of many connections have ended: what they took is then free, and only lies about in pieces."""

    def __init__(self) -> None:
        self._most = 0
        self._lately = 0  # the most since the last look: a crowd may come and go between two

    def saw(self, present: int) -> None:
        """Note how many connections there are at one moment."""
        self._lately = max(self._lately, present)

    def has_gone(self, present: int) -> bool:
        """Look at the number of connections; true once after each crowd, when few were there since the last look."""
        self.saw(present)
        self._most = max(self._most, self._lately)
        has_gone = self._most >= CROWD and self._lately * GONE <= self._most
        if has_gone:
            self._most = self._lately
        self._lately = 0
        return has_gone


def give_back() -> None:
    """Give the free memory of this process back to the system, which glibc by itself does only at the heap's end.

    TLS connections are cycles, so they are collected first; what was there at the start is frozen and not looked at.
    """
    import ctypes  # noqa: PLC0415  3 ms and 300 KiB, which most servers never need

    gc.collect()
    with suppress(AttributeError, OSError):  # another libc
        ctypes.CDLL(None).malloc_trim(0)


def _machine(root: Path) -> list[int]:
    for line in _read(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemTotal" and (words := rest.split()) and words[0].isdecimal():
            return [int(words[0]) * 1024]
    return []


def _cgroups(root: Path) -> list[int]:
    own = next((line[3:] for line in _read(root / "proc/self/cgroup").splitlines() if line.startswith("0::")), None)
    if own is None:
        return []
    top = root / "sys/fs/cgroup"
    folder = top / own.lstrip("/")
    folders = [folder, *folder.parents][: len(folder.relative_to(top).parts) + 1]
    found = (_read(one / name).strip() for one in folders for name in LIMITS)
    return [int(limit) for limit in found if limit.isdecimal() and int(limit) > 0]


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, ValueError):
        return ""
