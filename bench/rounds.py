"""For each design a database of its own, that knows the deliveries which are sent."""

from collections.abc import Callable, Mapping
from pathlib import Path

from bench.designs import Design, Kind
from bench.drain_books import Books
from bench.files import Deliveries, add_trainings
from bench.shelf import Shelf, copy_sqlite, remove, sqlite_path
from bench.versions import Version


class Databases:
    """Makes one database per kind of start, once in a round, and gives copies away."""

    def __init__(self, scratch: Path, versions: Mapping[Kind, Version], postgres: Callable[[], str]) -> None:
        self._scratch = scratch
        self._versions = versions
        self._postgres = postgres  # starts it when it is first asked for
        self._made: dict[tuple[object, ...], Books] = {}

    def forget(self) -> None:
        """Remove what knows the last round's deliveries."""
        for books in self._made.values():
            remove(books)
        self._made.clear()

    def database(self, design: Design, deliveries: Deliveries, place: Path) -> Books:
        """Return a database for `design`: at `place` with SQLite, somewhere in the cluster with PostgreSQL.

        The plain design gets one of ours, of which it knows the bot's table, in SQLite's own journal mode.
        """
        version = self._versions["before" if design.kind == "before" else "ours"]
        what = (version, design.engine, design.known, design.backlog)
        shelf = Shelf(design.engine, self._scratch, self._postgres() if design.engine == "PostgreSQL" else "", version)
        if what not in self._made:
            self._made[what] = _make(shelf, design, deliveries)
        if design.engine == "PostgreSQL":
            return shelf.copy(self._made[what])
        place.parent.mkdir(parents=True, exist_ok=True)
        copy_sqlite(sqlite_path(self._made[what]), place, journal="DELETE" if design.kind == "plain" else "WAL")
        return Books(f"sqlite:///{place}")


def _make(shelf: Shelf, design: Design, deliveries: Deliveries) -> Books:
    books = shelf.new()
    if design.backlog:
        shelf.filled(books, design.backlog)
    if design.known:
        add_trainings(books.url, deliveries.request_ids)
        shelf.meet(books)
    if design.engine == "PostgreSQL":
        books.rows("VACUUM ANALYZE")
    return books
