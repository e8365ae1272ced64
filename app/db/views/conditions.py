"""A search → conditions that indexes serve, on both databases."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Table, and_, func, literal_column, or_, select
from sqlalchemy.engine import Connection

from app.db.tables import deliveries, jobs, notifications
from app.db.views.walks import first_since
from app.domain.search import Search

SLACK = timedelta(minutes=10)  # by which clocks of replicas may differ, and one may be put back
MOST_REQUESTS = 1_000  # request ids of one owner, chat or avatar that are looked at
PROBED = 20_000  # rows up to which the rarest of several words is found by counting
CAME: dict[str, Column[Any]] = {  # ids ascend with these moments, but for SLACK
    deliveries.name: deliveries.c.received_at,
    notifications.name: notifications.c.applied_at,
    jobs.name: jobs.c.first_seen_at,
}
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_USUAL = {deliveries.name: "training", jobs.name: "training"}


@dataclass(frozen=True, slots=True)
class Where:
    """What rows of a table must meet. `is_sorted`: an index gives them in the order of their ids."""

    table: Table
    terms: tuple[ColumnElement[bool], ...]
    is_sorted: bool = True
    is_nothing: bool = False

    def newest(self, *columns: ColumnElement[Any], older_than: int | None = None) -> Select[Any]:
        """Select these rows, newest first."""
        statement = select(*columns).where(*self.terms)
        if older_than is not None:
            statement = statement.where(self.key() < older_than)
        return statement.order_by(self.key().desc())

    def oldest(self, *columns: ColumnElement[Any], newer_than: int) -> Select[Any]:
        """Select these rows from one on, oldest first."""
        return select(*columns).where(*self.terms, self.key() > newer_than).order_by(self.key())

    def key(self) -> ColumnElement[Any]:
        """Give what orders and bounds the rows. SQLite, which keeps no statistics, must not walk the table for it."""
        return self.table.c.id if self.is_sorted else self.table.c.id + 0


def where(
    connection: Connection,
    table: Table,
    search: Search,
    *,
    is_exact: bool = True,
    ids: "Ids | None" = None,
    probed: dict[str, int] | None = None,
) -> Where:
    """Translate all of a search but `contains`.

    Without `is_exact` times are taken by ids alone: some rows at their edges may be missed, and no row is read for it.
    `ids` are the bounds of the time, where they are known already; `probed` keeps how many rows each word has.
    """
    terms: list[ColumnElement[bool]] = []
    is_sorted = is_free = True
    columns = table.c
    requests = _requests(connection, table, search)
    if requests is not None:
        if not requests:
            return Where(table, (), is_nothing=True)
        terms.append(_is_about(table, requests))
        is_sorted = is_free = False
    if search.request is not None:
        terms.append(_is_named(table, search.request))
        is_sorted = is_free = False
    if table is notifications:
        whose = (("avatar_id", search.avatar), ("owner_id", search.owner), ("chat_id", search.chat))
        terms += [columns[name] == value for name, value in whose if value is not None]
        is_free = is_free and all(value is None for _, value in whose)
        is_sorted = is_sorted and search.avatar is None
    if search.stage is not None:
        terms.append(columns.stage == search.stage)
    if search.outcome is not None or search.artifact is not None:
        terms += _ended(search)
        is_rare = search.outcome == "gone" or search.artifact == "absent"
        is_sorted, is_free = is_sorted and not is_rare, is_free and not is_rare
    terms += _few_words(connection, table, search, {} if probed is None else probed, is_free=is_free)
    is_sorted = is_sorted and not (is_free and search.state == "pending")
    ids = ids_within(connection, table, search, is_exact=is_exact) if ids is None else ids
    key = columns.id if is_sorted else columns.id + 0
    if ids.low is not None:
        terms.append(key >= ids.low)
    if ids.high is not None:
        terms.append(key < ids.high)
    if is_exact:
        terms += [CAME[table.name] >= search.after] if search.after is not None else []
        terms += [CAME[table.name] < search.before] if search.before is not None else []
    return Where(table, tuple(terms), is_sorted=is_sorted)


def _few_words(
    connection: Connection, table: Table, search: Search, probed: dict[str, int], *, is_free: bool
) -> list[ColumnElement[bool]]:
    """Say which state, reason and kind; the rarest of them is found by its index, the others are spelt so that none is.

    SQLite keeps no statistics, and PostgreSQL does not know which of them go together. Not `is_free`: by none of them,
    for something else names a few rows.
    """
    found = {
        "reason": _for_reason(table, search.reason) if search.reason is not None else [],
        "kind": _of_kind(table, search.kind) if search.kind is not None else [],
        "state": in_state(table, search.state) if search.state is not None else [],  # last: most rows have one of two
    }
    found = {name: terms for name, terms in found.items() if terms}
    if is_free and len(found) < 2:  # noqa: PLR2004  one alone is taken anyway
        return [term for terms in found.values() for term in terms]
    given = {"state": search.state, "reason": search.reason, "kind": search.kind}

    def amount(name: str) -> int:
        word = f"{name}:{given[name]}"
        if word not in probed:
            probed[word] = _probe(connection, table, found[name])
        return probed[word]

    rarest = min(found, key=amount, default=None) if is_free else None
    others = [literal_column(f"({table.name}.{name} || '')") == given[name] for name in found if name != rarest]
    return [*(found[rarest] if rarest is not None else []), *others]


def _ended(search: Search) -> list[ColumnElement[bool]]:
    """Say how jobs ended; what an operator must know of is found by an index on the moment of its end."""
    terms: list[ColumnElement[bool]] = []
    for name, value, rare in (("outcome", search.outcome, "gone"), ("artifact", search.artifact, "absent")):
        if value == rare:
            terms += [_spelled(f"webhook_jobs.{name} = '{rare}'"), jobs.c.finished_at > _LONG_AGO]
        elif value is not None:
            terms.append(jobs.c[name] == value)
    return terms


def in_state(table: Table, state: str) -> list[ColumnElement[bool]]:
    """Ask for rows in a state, spelt so that an index serves."""
    if state == "pending":
        return [_spelled(f"{table.name}.state = 'pending'")]
    return [_spelled(f"{table.name}.state <> 'pending'"), table.c.state == state]


def _for_reason(table: Table, reason: str) -> list[ColumnElement[bool]]:
    return [_spelled(f"{table.name}.reason IS NOT NULL"), table.c.reason == reason]


def _of_kind(table: Table, kind: str) -> list[ColumnElement[bool]]:
    usual = _USUAL.get(table.name)
    spelled = [] if usual in (None, kind) else [_spelled(f"{table.name}.kind <> '{usual}'")]
    return [*spelled, table.c.kind == kind]


def _spelled(condition: str) -> ColumnElement[bool]:
    return literal_column(condition)


def _probe(connection: Connection, table: Table, terms: Sequence[ColumnElement[bool]]) -> int:
    found = select(table.c.id).where(*terms).limit(PROBED).subquery()
    return connection.execute(select(func.count()).select_from(found)).scalar_one()


def _is_named(table: Table, key: str) -> ColumnElement[bool]:
    """Match fal's request id, the header's or the body's, or our id."""
    matches: list[ColumnElement[bool]] = [table.c.request_id == key]
    if table is deliveries:
        matches.append(_read_as([key]))
    if key.isascii() and key.isdigit() and len(key) < 19:  # noqa: PLR2004  what a BIGINT holds
        matches.append(table.c.id == int(key))
    return or_(*matches)


def _is_about(table: Table, requests: Sequence[str]) -> ColumnElement[bool]:
    matches = table.c.request_id.in_(requests)
    return or_(matches, _read_as(requests)) if table is deliveries else matches


def _read_as(requests: Sequence[str]) -> ColumnElement[bool]:
    return and_(_spelled("webhook_deliveries.fal_request_id IS NOT NULL"), deliveries.c.fal_request_id.in_(requests))


def _requests(connection: Connection, table: Table, search: Search) -> list[str] | None:
    """Name the request ids of an avatar, an owner and a chat; None where none of them is asked for."""
    if table is notifications:
        return None
    told, found = notifications.c, []
    if search.avatar is not None:
        of_jobs = select(jobs.c.request_id).where(jobs.c.subject == search.avatar, jobs.c.request_id.is_not(None))
        of_told = select(told.request_id).where(told.avatar_id == search.avatar)
        found.append(_first(connection, of_jobs) | _first(connection, of_told))
    if search.owner is not None:
        found.append(_first(connection, select(told.request_id).where(told.owner_id == search.owner)))
    if search.chat is not None:
        found.append(_first(connection, select(told.request_id).where(told.chat_id == search.chat)))
    return sorted(set.intersection(*found)) if found else None


def _first(connection: Connection, statement: Select[Any]) -> set[str]:
    return set(connection.execute(statement.limit(MOST_REQUESTS)).scalars())


@dataclass(frozen=True, slots=True)
class Ids:
    """Between which ids the rows of a search's time lie: from `low`, below `high`; None: no bound."""

    low: int | None = None
    high: int | None = None


def ids_within(connection: Connection, table: Table, search: Search, *, is_exact: bool = True) -> Ids:
    """Look up the bounds of a search's time; wider by SLACK where each row's own time is looked at as well."""
    slack, came = SLACK if is_exact else timedelta(0), CAME[table.name]
    return Ids(
        None if search.after is None else first_since(connection, table, came, search.after - slack),
        None if search.before is None else first_since(connection, table, came, search.before + slack),
    )
