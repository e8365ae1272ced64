"""Walks through an index in one statement, where a plain query would read all of it."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, func, select, text
from sqlalchemy.engine import Connection

_HALVED = """
WITH RECURSIVE walk(low, high) AS (
  SELECT min(id), max(id) + 1 FROM {table}
  UNION ALL
  SELECT CASE WHEN found.at < :moment THEN found.id + 1 ELSE low END,
    CASE WHEN found.at < :moment THEN high ELSE (low + high) / 2 END
  FROM walk CROSS JOIN LATERAL (
    SELECT id, {came} AS at FROM {table} WHERE id >= (low + high) / 2 ORDER BY id LIMIT 1
  ) AS found
  WHERE low < high
)
SELECT low FROM walk WHERE low >= high
"""


def distinct(connection: Connection, column: ColumnElement[Any], *where: ColumnElement[bool]) -> list[str]:
    """List the values of a column that an index leads to, going from one to the next."""
    begin = select(func.min(column).label("value")).where(*where)
    walk = begin.cte("walk", recursive=True)
    following = select(func.min(column)).where(*where, column > walk.c.value).correlate(walk).scalar_subquery()
    walk = walk.union_all(select(following).select_from(walk).where(walk.c.value.is_not(None)))
    return list(connection.execute(select(walk.c.value).where(walk.c.value.is_not(None))).scalars())


def first_since(connection: Connection, table: Table, came: ColumnElement[Any], moment: datetime) -> int:
    """Find the id of the first row that came at `moment` or later, in a table whose ids ascend with time.

    It halves the ids some 20 times, so that no index on the moment is needed. 0 in an empty table.
    """
    if connection.dialect.name != "sqlite":
        halved = text(_HALVED.format(table=table.name, came=came.name))
        return int(connection.execute(halved, {"moment": moment}).scalar() or 0)
    # Two looks: SQLite takes the index for one of them at a time.
    ends = select(select(func.min(table.c.id)).scalar_subquery(), select(func.max(table.c.id)).scalar_subquery())
    lowest, highest = connection.execute(ends).one()
    if lowest is None:
        return 0
    low, high = int(lowest), int(highest) + 1
    while low < high:
        middle = (low + high) // 2
        next_row = select(table.c.id, came).where(table.c.id >= middle).order_by(table.c.id).limit(1)
        found = connection.execute(next_row).one()
        if found[1] < moment:
            low = int(found[0]) + 1
        else:
            high = middle
    return low
