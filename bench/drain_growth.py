"""What claiming and applying cost beside finished rows: none, a hundred thousand, a million."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.drain_books import Books
from bench.drain_claim import claim_in_turns, finish
from bench.drain_server import Stage
from bench.drain_turns import until
from bench.shelf import Shelf, remove

SIZES = (0, 100_000, 1_000_000)
NEW = "AND request_id NOT LIKE 'old-%'"  # the rows that are not drain_claim's finished ones


@dataclass(frozen=True, slots=True)
class Growth:
    """One engine beside one number of finished rows."""

    engine: str
    finished: int
    claim_ms: list[float]  # per claim of a batch, its commit included
    apply_us: list[float] = field(default_factory=list)  # per row, from the first commit to the last; one per round
    cpu_us: list[float] = field(default_factory=list)  # of the server per row, its start included


def grow(stage: Stage, shelf: Shelf, *, sizes: Sequence[int], rows: int, rounds: int, turns: int) -> list[Growth]:
    """Apply `rows` by the real server, then claim, in databases that differ by their finished rows only, in turns."""
    sources = {size: _make(shelf, size, rows) for size in sizes}
    found = {size: Growth(shelf.engine, size, []) for size in sizes}
    for _ in range(rounds):
        for size, source in sources.items():
            books = shelf.copy(source)
            _apply(stage, books, rows, found[size])
            remove(books)
    for size, claims in zip(sizes, claim_in_turns(list(sources.values()), turns), strict=True):
        found[size].claim_ms.extend(claims)
    for source in sources.values():
        remove(source)
    return list(found.values())


def grown_ratio(growths: Sequence[Growth], engine: str, value: str) -> tuple[int, float]:
    """Return the largest number of finished rows, and the median over the turns of `value` there : without any."""
    mine = sorted((one for one in growths if one.engine == engine), key=lambda one: one.finished)
    pairs = zip(getattr(mine[-1], value), getattr(mine[0], value), strict=True)
    return mine[-1].finished, statistics.median(many / none for many, none in pairs)


def _make(shelf: Shelf, finished: int, rows: int) -> Books:
    books = shelf.new()
    if finished:
        finish(books, finished)
    shelf.filled(books, rows)
    return books


def _apply(stage: Stage, books: Books, rows: int, growth: Growth) -> None:
    with stage.server(books, tls=False) as server:
        until(lambda: not books.count("SELECT count(*) FROM webhook_deliveries WHERE state = 'pending'"))
        cpu = server.cpu_seconds()
    pace = books.pace("webhook_deliveries", "done", NEW)
    assert pace.rows == rows, pace.rows
    growth.apply_us.append(1e6 / pace.per_second())
    growth.cpu_us.append(cpu / rows * 1e6)
