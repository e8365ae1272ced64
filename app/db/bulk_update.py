"""Many rows, one statement: each row with values of its own.

PostgreSQL reads all rows from one JSON parameter, which costs it less than half of a statement per row. SQLite is fast
at the same statement many times; it is given to the driver as it is, for SQLAlchemy takes longer over the parameters of
a row than SQLite over the row.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import Any, cast

import orjson
from sqlalchemy import JSON, Executable, Table, Text, Update, and_, bindparam, case, column, func, select, update
from sqlalchemy import cast as cast_as
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ColumnElement

_AS_THEY_ARE = frozenset({str, int, type(None)})  # the driver takes them so
Row = tuple[Mapping[str, Any], Mapping[str, Any]]  # what the row's columns must hold now, what they get


class UpdateMany:
    """An UPDATE of the rows whose `match` columns hold the given values: sets the `given` columns and the `fixed` ones.

    A JSON column is given its JSON text.
    """

    def __init__(
        self,
        table: Table,
        *,
        match: Sequence[str],
        given: Sequence[str],
        fixed: Mapping[str, Any] | None = None,
        only: Sequence[ColumnElement[bool]] = (),
    ) -> None:
        self._table = table
        self._match = tuple(match)
        self._given = tuple(given)
        self._fixed = dict(fixed or {})
        self._only = tuple(only)

    def __call__(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Update and return how many rows matched."""
        if connection.dialect.name == "sqlite":
            matched, given = itemgetter(*self._match), itemgetter(*self._given)
            return self._row_by_row(connection, [_tuple(matched(old)) + _tuple(given(new)) for old, new in rows])
        parameters = [
            {f"old_{name}": old[name] for name in self._match} | {f"new_{name}": new[name] for name in self._given}
            for old, new in rows
        ]
        return (connection.execute(self._at_once, {"rows": orjson.dumps(parameters).decode()})).rowcount

    @cached_property
    def _row_by_row(self) -> "_RowByRow":
        # SQLite would turn CAST(… AS JSON) into a number; there JSON is text anyway.
        old = {name: bindparam(f"old_{name}", type_=self._table.c[name].type) for name in self._match}
        new = {name: bindparam(f"new_{name}", type_=_given_type(self._table.c[name])) for name in self._given}
        return _RowByRow(self._update(old, new), [parameter.key for parameter in (*old.values(), *new.values())])

    @cached_property
    def _at_once(self) -> Update:
        columns = [column(f"old_{name}", self._table.c[name].type) for name in self._match]
        columns += [column(f"new_{name}", _given_type(self._table.c[name])) for name in self._given]
        rows = func.json_to_recordset(cast_as(bindparam("rows", type_=Text()), JSON))
        source = rows.table_valued(*columns, name="source").render_derived(with_types=True)
        kinds = {name: self._table.c[name].type for name in self._given}
        return self._update(
            {name: source.c[f"old_{name}"] for name in self._match},
            {
                name: cast_as(source.c[f"new_{name}"], kind) if isinstance(kind, JSON) else source.c[f"new_{name}"]
                for name, kind in kinds.items()
            },
        )

    def _update(self, old: Mapping[str, ColumnElement[Any]], new: Mapping[str, ColumnElement[Any]]) -> Update:
        matches = [self._table.c[name] == value for name, value in old.items()]
        return update(self._table).where(*matches, *self._only).values({**self._fixed, **new})


class InsertMany:
    """An INSERT of rows that give the `given` columns.

    A row that is there already, by `unique`, is left as it is, or gets the `renewed` columns where it meets `only`.
    `lasting` names columns of these that stay while another column does: {"finished_at": "outcome"}.
    """

    def __init__(
        self,
        table: Table,
        *,
        given: Sequence[str],
        unique: Sequence[str],
        renewed: Sequence[str] = (),
        only: Sequence[ColumnElement[bool]] = (),
        lasting: Mapping[str, str] | None = None,
    ) -> None:
        self._lasting = dict(lasting or {})
        self._table = table
        self._given = tuple(given)
        self._unique = tuple(unique)
        self._renewed = tuple(renewed)
        self._only = tuple(only)

    def __call__(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert what is not there; return how many rows that made or renewed."""
        if connection.dialect.name == "sqlite":
            given = itemgetter(*self._given)
            return self._row_by_row(connection, [given(row) for row in rows])
        parameters = {"rows": orjson.dumps(rows).decode()}
        return connection.execute(self._at_once, parameters, execution_options={"preserve_rowcount": True}).rowcount

    @cached_property
    def _row_by_row(self) -> "_RowByRow":
        values = {name: bindparam(name, type_=self._table.c[name].type) for name in self._given}
        return _RowByRow(self._unless_there(sqlite.insert(self._table).values(values)), self._given)

    @cached_property
    def _at_once(self) -> Executable:
        columns = [column(name, self._table.c[name].type) for name in self._given]
        rows = func.json_to_recordset(cast_as(bindparam("rows", type_=Text()), JSON))
        source = rows.table_valued(*columns, name="source").render_derived(with_types=True)
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415  SQLite need not pay for it: two MiB

        insert = cast("sqlite.Insert", postgresql.insert(self._table))  # both dialects spell what we use alike
        return self._unless_there(insert.from_select(self._given, select(*(source.c[name] for name in self._given))))

    def _unless_there(self, insert: sqlite.Insert) -> sqlite.Insert:
        if not self._renewed:
            return insert.on_conflict_do_nothing(index_elements=self._unique)
        return insert.on_conflict_do_update(
            index_elements=self._unique,
            set_={name: self._renew(insert, name) for name in self._renewed},
            where=and_(*self._only) if self._only else None,
        )

    def _renew(self, insert: sqlite.Insert, name: str) -> ColumnElement[Any]:
        given = insert.excluded[name]
        if (other := self._lasting.get(name)) is None:
            return given
        return case((self._table.c[other] == insert.excluded[other], self._table.c[name]), else_=given)


class _RowByRow:
    """A statement for SQLite's driver, run once for each row: a tuple of values in the order of `names`."""

    def __init__(self, statement: Update | sqlite.Insert, names: Sequence[str]) -> None:
        compiled = statement.compile(dialect=sqlite.dialect())
        order = compiled.positiontup or []
        constants = [name for name in order if name not in names]
        self._text = compiled.string
        self._constants = tuple(compiled.params[name] for name in constants)
        self._in_order = itemgetter(*([*names, *constants].index(name) for name in order))

    def __call__(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        driver: Any = connection.connection.driver_connection
        constants, in_order = self._constants, self._in_order
        values = [
            tuple(
                [
                    value if type(value) in _AS_THEY_ARE else _SPELL.get(type(value), _plain)(value)
                    for value in in_order(row + constants)
                ]
            )
            for row in rows
        ]
        return int(driver.executemany(self._text, values).rowcount)


@lru_cache(1024)  # most moments of a batch are one and the same
def spell_moment(at: datetime) -> str:
    """Spell a moment as SQLAlchemy keeps it in SQLite: UTC, without zone, always with microseconds."""
    return (at if at.tzinfo is None else at.astimezone(UTC)).isoformat(" ", "microseconds")[:26]


def _plain(value: Any) -> Any:
    """Spell what the driver knows no column for, and what it would ask for an adapter."""
    return value._value_ if isinstance(value, Enum) else value


_SPELL: Mapping[type, Callable[[Any], Any]] = {datetime: spell_moment}


def _tuple(values: Any) -> tuple[Any, ...]:
    return values if isinstance(values, tuple) else (values,)  # an itemgetter of one item returns it bare


def _given_type(target: ColumnElement[Any]) -> Any:
    return Text() if isinstance(target.type, JSON) else target.type
