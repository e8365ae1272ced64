"""Rows as dictionaries by plain names: SQLAlchemy's own are a kind of string that JSON writers refuse."""

from typing import Any

from sqlalchemy import Select
from sqlalchemy.engine import Connection


def plain_rows(connection: Connection, statement: Select[Any]) -> list[dict[str, Any]]:
    """Read all rows of a statement."""
    return [{str(name): value for name, value in row.items()} for row in connection.execute(statement).mappings()]
