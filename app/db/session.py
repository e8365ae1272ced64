"""Sessions on PostgreSQL that are ours whatever the role, the database or a pooler in between would make of them.

A setting of ours is given once, after connecting. Behind a pooler the next transaction may find itself on another of
PostgreSQL's sessions, which the bot uses as well: there each transaction brings its settings and leaves none behind,
and nothing is prepared. A pooler is known by the number of the process that it names: it is not the one that answers.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from app.db.url import libpq_options

if TYPE_CHECKING:  # SQLite need not pay for it: a fifth of a second, five MiB
    import psycopg

CONNECT_TIMEOUT = 5  # s for a host
CONNECTING = 8  # s for all hosts of a URL together: the last one must be reached, too
LEAST_TIMEOUT = 2  # s; libpq makes two of one
PEER_LOST = 8_000  # ms in which the other side must acknowledge what was sent
# Keepalive notices a vanished peer within 11 s: a reset is sent only once and may be lost.
ATTENTIVE = {
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": str(PEER_LOST),
}
# How values are spelled on the way, and what a transaction sees of others.
OURS = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "default_transaction_deferrable": "off",
    "default_transaction_isolation": "read committed",
    "row_security": "on",
    "standard_conforming_strings": "on",
}
# Where no pooler is: the server's end of the connection, and no end of it by the clock.
ALONE = {
    "tcp_user_timeout": str(PEER_LOST),
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
ENDLESS = {"idle_session_timeout": 140_000, "transaction_timeout": 170_000}  # since these versions of PostgreSQL
OPENING = "opening"  # what `Connection.info` holds behind a pooler: the statement that begins a transaction
_WORD = re.compile(r"(?:\\.|[^\s\\])+", re.DOTALL)


def connect_options(database_url: str, application_name: str) -> dict[str, Any]:
    """Spell DATABASE_URL and what we add to it as `psycopg.connect` takes it. The URL's own options stand.

    Settings among its `options` are left out: `own_settings` has them.
    """
    given = libpq_options(database_url)
    hosts = given.get("host", "").count(",") + 1
    _, rest = split_options(given.pop("options", ""))
    return {
        "connect_timeout": str(max(LEAST_TIMEOUT, min(CONNECT_TIMEOUT, CONNECTING // hosts))),
        "application_name": application_name,
        **ATTENTIVE,
        **given,
        **({"options": rest} if rest else {}),
        "client_encoding": "UTF8",
    }


def own_settings(database_url: str) -> dict[str, str]:
    """Read the settings that DATABASE_URL gives by `options=-c name=value`."""
    return split_options(libpq_options(database_url).get("options", ""))[0]


def split_options(options: str) -> tuple[dict[str, str], str]:
    r"""Split libpq's `options` into settings and the rest, which is the server's to understand.

    >>> split_options(r"-c search_path=bot,\\ public --lock-timeout=1s endpoint=ep-1")
    ({'search_path': 'bot, public', 'lock_timeout': '1s'}, 'endpoint=ep-1')
    """
    settings: dict[str, str] = {}
    rest: list[str] = []
    words = iter(_WORD.findall(options))
    for word in words:
        text = next(words, "") if word == "-c" else word[2:] if word.startswith(("-c", "--")) else ""
        name, is_setting, value = text.partition("=")
        if is_setting:
            settings[name.replace("-", "_")] = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
        else:
            rest.append(word)
    return settings, " ".join(rest)


def open_engine(database_url: str, limits: Mapping[str, object], **options: Any) -> Engine:
    """Make an engine for PostgreSQL whose sessions are ours; `limits` are settings of the caller's."""
    engine = create_engine(
        "postgresql+psycopg://",
        connect_args=connect_options(database_url, "aisha-webhook"),
        poolclass=NullPool,
        **options,
    )
    settle_sessions(engine, {**own_settings(database_url), **OURS, **{name: str(limits[name]) for name in limits}})
    return engine


def settle_sessions(engine: Engine, settings: Mapping[str, str]) -> None:
    """Give every new session of the engine these settings; behind a pooler, every transaction."""

    @event.listens_for(engine, "connect", insert=True)  # before the dialect's own questions
    def _on_connect(driver: "psycopg.Connection", record: Any) -> None:
        endless = {name: "0" for name, since in ENDLESS.items() if driver.info.server_version >= since}
        wanted = {**settings, **endless}
        driver.autocommit = True
        # The filter is looked at before anything is assigned.
        assigned = _assignments({**wanted, **ALONE}, is_local=False)
        statement = f"SELECT {assigned} WHERE pg_backend_pid() = {driver.info.backend_pid}"
        if driver.execute(statement.encode()).fetchone() is not None:
            driver.autocommit = False
        else:
            driver.prepare_threshold = None
            record.info[OPENING] = f"BEGIN; SELECT {_assignments(wanted, is_local=True)}"  # one round trip

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        if is_pooled(connection):  # a value may hold a %
            connection.exec_driver_sql(connection.info[OPENING], execution_options={"no_parameters": True})


def is_pooled(connection: Connection) -> bool:
    """Tell whether a pooler stands between us and PostgreSQL."""
    return OPENING in connection.info


def _assignments(settings: Mapping[str, str], *, is_local: bool) -> str:
    """Spell settings as the columns of a SELECT; of the same name in two spellings the later one stands."""
    from psycopg import sql  # noqa: PLC0415  SQLite need not pay for it: a fifth of a second, five MiB

    each = [sql.SQL("set_config({}, {}, {})").format(name, settings[name], is_local) for name in settings]
    # Off would lose acknowledged rows in a crash; what else it may be was somebody's choice of standbys.
    durable = "set_config('synchronous_commit', CASE {0} WHEN 'off' THEN 'on' ELSE {0} END, {1})"
    each.append(sql.SQL(durable).format(sql.SQL("current_setting('synchronous_commit')"), is_local))
    return sql.SQL(", ").join(each).as_string(None)
