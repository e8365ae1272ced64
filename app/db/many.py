"""`column IN (…)` with one parameter, however many values: the statement is compiled once, and its plan can be kept."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import ARRAY, Column, Text, any_, bindparam, func, select
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ColumnElement


def is_among(column: Column[Any], name: str, dialect: str) -> ColumnElement[bool]:
    """Ask whether a column's value is among those of the parameter `name`, which `one_parameter` makes."""
    if dialect == "sqlite":
        listed = func.json_each(bindparam(name, type_=Text())).table_valued("value")
        return column.in_(select(listed.c.value))
    return column == any_(bindparam(name, type_=ARRAY(column.type)))


def one_parameter(connection: Connection, values: Sequence[Any]) -> Any:
    """Put values into the one parameter: PostgreSQL's array, or the text of a JSON array."""
    return orjson.dumps(values).decode() if connection.dialect.name == "sqlite" else list(values)
