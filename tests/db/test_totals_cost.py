"""What the status page costs where much has ended: no scan, on either database.

MANY_ROWS=1000000 fills that many rows of each kind instead, and prints how long the answer takes.
"""

import json
import os
import statistics
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from app.db import views
from app.db.engine import Connection, Database, open_database
from bench.views_rows import fill
from tests.fakes import START

pytestmark = pytest.mark.anyio

MANY = int(os.environ.get("MANY_ROWS", "6000"))  # noqa: TID251  a setting of the tests, not of the server
LARGE = {"webhook_deliveries", "webhook_notifications", "webhook_jobs", "webhook_events"}
STEP = 100  # instructions of SQLite's machine between two calls of its progress handler
TURNS = 20


@pytest.fixture
def filled(database_url: str) -> Iterator[Database]:
    """A month of history; of 1,000 rows 14 are set aside or wait, as on a machine with much trouble."""
    database = open_database(database_url)
    with database.engine.begin() as transaction:
        fill(transaction, MANY, START)
    if not database.is_sqlite:  # SQLite has no statistics in operation either: nobody runs ANALYZE there
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
    yield database
    if not database.is_sqlite:  # others use it after us: their scans shall not read what was here
        with psycopg.connect(database_url, autocommit=True) as connection:
            for table in sorted(LARGE):
                connection.execute(f"DELETE FROM {table}".encode())
            connection.execute("VACUUM")
    database.engine.dispose()


def statements_of(connection: Connection) -> list[tuple[str, Any]]:
    """Every statement of one answer, as it goes to the driver."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    views.totals(connection, START)
    event.remove(connection, "before_cursor_execute", note)
    return asked


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def read_rows(node: dict[str, Any]) -> int:
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + removed) * node["Actual Loops"])


async def test_no_answer_scans_what_has_ended(filled: Database) -> None:
    """PostgreSQL's plans hold no sequential scan of a large table; neither database reads more than one row of 20."""
    with filled.engine.connect().execution_options(write=False) as connection:
        asked = statements_of(connection)
        if filled.is_sqlite:
            steps = 0

            def count() -> None:
                nonlocal steps
                steps += 1

            driver: Any = connection.connection.driver_connection
            driver.set_progress_handler(count, STEP)
            views.totals(connection, START)
            driver.set_progress_handler(None, 0)
            assert steps * STEP < MANY * 3  # a scan of one table takes some ten instructions a row
        else:
            plans = []
            for statement, parameters in asked:
                found = connection.exec_driver_sql(
                    f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
                ).scalar_one()
                plans += [node for root in found for node in nodes(root["Plan"])]
            # A branch that was not entered may be planned in any way: it would read a table of this size at one go.
            scans = [node for node in plans if node.get("Relation Name") in LARGE and node["Actual Loops"]]
            assert len(scans) > 5
            shown = json.dumps([(node["Node Type"], node["Relation Name"], read_rows(node)) for node in scans])
            assert "Seq Scan" not in {node["Node Type"] for node in scans}, shown
            assert sum(map(read_rows, scans)) < MANY / 20, shown
        taken = []
        for _ in range(TURNS):
            began = time.perf_counter()
            views.totals(connection, START)
            taken.append((time.perf_counter() - began) * 1e3)
    print(f"{MANY:,} rows: median {statistics.median(taken):.2f} ms")  # noqa: T201  for whoever fills many


def test_what_waits_is_counted_by_its_own_index(sqlite_url: str) -> None:
    """SQLite, which has no statistics, counts orphans in the index of the few that wait."""
    database = open_database(sqlite_url)
    with database.engine.connect() as connection:
        looks = [given for given in statements_of(connection) if "'orphan'" in given[0]]
        assert looks
        for statement, parameters in looks:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            assert "webhook_deliveries_held" in " ".join(row[3] for row in plan)
    database.engine.dispose()
