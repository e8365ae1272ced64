"""What is measured: our server in its variants, the version before it, and the two baselines."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["ours", "before", "echo", "plain"]
Front = Literal["", "nginx", "nginx, kept alive"]
Engine = Literal["SQLite", "PostgreSQL"]

KINDS = {"ours": "ours", "before": "before", "echo": "FastAPI echo", "plain": "plain design"}
MANY = 256  # connections
SLOW_FSYNC_MS = 10
BACKLOG = 50_000  # due deliveries
STEADY_RATE = 200  # deliveries per second


@dataclass(frozen=True, slots=True)
class Design:
    """One column of the comparison. `known`: the trainings are in the database, so that the worker applies them."""

    kind: Kind
    tls: bool = False
    known: bool = True
    front: Front = ""
    engine: Engine = "SQLite"
    replicas: int = 1
    connections: int | None = None  # None: what the command line says
    fsync_ms: int = 0  # by which every fsync is delayed
    pages: int = 0  # of operators, open and live
    backlog: int = 0  # due deliveries at the start; the load is then STEADY_RATE and not whatever is answered

    @property
    def is_server(self) -> bool:
        """Whether it is a version of our server, which has a database and a worker."""
        return self.kind in {"ours", "before"}

    @property
    def name(self) -> str:
        """What the report calls it."""
        return ", ".join([KINDS[self.kind], *self._details()])

    def _details(self) -> Iterator[str]:
        yield self.front or ("TLS" if self.tls else "HTTP")
        if self.engine == "PostgreSQL":
            yield self.engine
        if self.replicas > 1:
            yield f"{self.replicas} replicas"
        if self.fsync_ms:
            yield f"fsync {self.fsync_ms} ms"
        if self.connections is not None:
            yield f"{self.connections} connections"
        if self.pages:
            yield f"{self.pages} live pages"
        if self.backlog:
            yield f"{STEADY_RATE}/s beside a backlog of {self.backlog:,}"
        if self.is_server:
            yield f"trainings {'known' if self.known else 'unknown'}"


OURS, ECHO, PLAIN = Design("ours"), Design("echo"), Design("plain")
OURS_TLS, ECHO_TLS = Design("ours", tls=True), Design("echo", tls=True)
OURS_NGINX, ECHO_NGINX = Design("ours", front="nginx"), Design("echo", front="nginx")
OURS_KEPT, ECHO_KEPT = Design("ours", front="nginx, kept alive"), Design("echo", front="nginx, kept alive")
OURS_MANY, ECHO_MANY = Design("ours", connections=MANY), Design("echo", connections=MANY)
POSTGRES = Design("ours", engine="PostgreSQL")
REPLICAS = Design("ours", engine="PostgreSQL", replicas=2)
SLOW_DISK = Design("ours", fsync_ms=SLOW_FSYNC_MS)
SLOW_DISK_MANY = Design("ours", fsync_ms=SLOW_FSYNC_MS, connections=MANY)
WATCHED = Design("ours", pages=5)
STEADY = Design("ours", backlog=BACKLOG)

# Each group holds what its ratios are taken to, so that any of them can be chosen alone.
GROUPS: dict[str, tuple[Design, ...]] = {
    "default": (OURS, ECHO, PLAIN, OURS_TLS, ECHO_TLS, replace(OURS, known=False), replace(OURS_TLS, known=False)),
    "short": (OURS, ECHO),
    "tls": (OURS_TLS, ECHO_TLS),
    "nginx": (OURS_NGINX, ECHO_NGINX, OURS_KEPT, ECHO_KEPT),
    "many": (OURS_MANY, ECHO_MANY),
    "postgresql": (POSTGRES, ECHO),
    "replicas": (POSTGRES, REPLICAS),
    "slow-disk": (SLOW_DISK, SLOW_DISK_MANY, ECHO, ECHO_MANY),
    "pages": (OURS, WATCHED, ECHO),
    "steady": (STEADY,),
}


def chosen(groups: Iterable[str], *, before: bool) -> list[Design]:
    """Return the designs of these groups, each once; with `before`, that version behind each of ours.

    Ours with unknown trainings stands alone: it is there for its own latency. The version before had no pages.
    """
    designs: list[Design] = []
    for design in dict.fromkeys(design for group in groups for design in GROUPS[group]):
        designs.append(design)
        if before and design.kind == "ours" and design.known and not design.pages:
            designs.append(as_before(design))
    return designs


def as_before(design: Design) -> Design:
    """Return the same design for the version before."""
    return replace(design, kind="before")
