"""DATABASE_URL in any accepted spelling, the bot's included."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy.engine import URL, make_url

from app.domain.errors import DatabaseUnfit

# What the bot's driver knows and libpq does not; none of it is about the database.
ASYNCPG_ONLY = frozenset(
    {
        "async_fallback",
        "command_timeout",
        "max_cacheable_statement_size",
        "max_cached_statement_lifetime",
        "prepared_statement_cache_size",
        "prepared_statement_name_func",
        "statement_cache_size",
    }
)
SECRET_OPTIONS = frozenset(
    {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
)  # of libpq's
YES, NO = ("true", "1", "on", "yes"), ("false", "0", "off", "no")
# Several hosts, or a socket's folder, before the path: both are libpq's own, and SQLAlchemy reads neither there.
_LIBPQ_HOSTS = re.compile(
    r"(?P<head>postgres[\w+]*://(?:[^:/]*(?::[^@]*)?@)?)(?P<hosts>[^/?@]*(?:,|%2[fF])[^/?@]*)(?P<tail>(?:[/?].*)?)\Z"
)
_ADDRESS = re.compile(r"(?:\[(?P<bracketed>[^\]]+)\]|(?P<plain>/.*|[^:]*))(?::(?P<port>\d*))?\Z")


def parse_url(database_url: str) -> URL:
    """Read any accepted spelling of DATABASE_URL and name our own driver. Raises DatabaseUnfit for an unknown option.

    Several hosts stand in the query as `host`, each with its port.
    """
    hosts = _LIBPQ_HOSTS.match(database_url)
    url = make_url(database_url if hosts is None else hosts["head"] + hosts["tail"])
    if url.get_backend_name() == "sqlite":
        return url.set(drivername="sqlite")
    # `postgres://` is no dialect of SQLAlchemy's; asyncpg is the bot's driver, not ours.
    url = _without_asyncpg(url.set(drivername="postgresql+psycopg"))
    if hosts is not None and "host" not in url.query:
        url = url.update_query_dict({"host": [unquote(host) for host in hosts["hosts"].split(",")]})
    return url


def libpq_options(database_url: str) -> dict[str, str]:
    """Spell PostgreSQL's DATABASE_URL as libpq's options, the password among them; what is not given is not there."""
    url = parse_url(database_url)
    own = {"user": url.username, "password": url.password, "dbname": url.database, "host": url.host, "port": url.port}
    options = {name: str(value) for name, value in own.items() if value is not None}
    # As libpq reads a URL, the query has the last word.
    options.update({name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()})
    if "host" in url.query:
        addresses = list(_addresses(url.query["host"]))
        options["host"] = ",".join(host for host, _ in addresses)
        if any(port for _, port in addresses):
            options["port"] = ",".join(port or options.get("port", "") for _, port in addresses)
    return options


def _addresses(given: str | tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield (host, port or ""); a bare IPv6 address has no port."""
    for one in [given] if isinstance(given, str) else given:
        for address in one.split(","):
            parts = _ADDRESS.match(address)
            yield (address, "") if parts is None else (parts["bracketed"] or parts["plain"], parts["port"] or "")


def _without_asyncpg(url: URL) -> URL:
    """Spell the bot's options for libpq. Raises DatabaseUnfit for one that neither driver knows."""
    from psycopg import ProgrammingError  # noqa: PLC0415  SQLite need not pay for it: a fifth of a second, five MiB
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415  as above

    options = {name: value for name, value in url.query.items() if name not in ASYNCPG_ONLY}
    for name, spelled in (("ssl", "sslmode"), ("database", "dbname"), ("timeout", "connect_timeout")):
        if (value := options.pop(name, None)) is not None:
            options.setdefault(spelled, _SPELLINGS[name](str(value)) if name in _SPELLINGS else value)
    if str(options.pop("direct_tls", "")).lower() in YES:
        options.setdefault("sslnegotiation", "direct")
    try:
        make_conninfo(**{name: value if isinstance(value, str) else ",".join(value) for name, value in options.items()})
    except ProgrammingError as error:
        raise DatabaseUnfit([f"DATABASE_URL: {str(error).partition(chr(10))[0]}; remove it after the '?'"]) from None
    return url.set(query=options)


def _sslmode(ssl: str) -> str:
    word = ssl.lower()
    return "require" if word in YES else "disable" if word in NO else ssl


def _whole_seconds(timeout: str) -> str:
    try:
        return str(math.ceil(float(timeout)))
    except (ValueError, OverflowError):
        return timeout  # libpq says what it is not


_SPELLINGS = {"ssl": _sslmode, "timeout": _whole_seconds}


def sqlite_file(database_url: str) -> Path | None:
    """Return the path of a SQLite database, or None for PostgreSQL and for memory."""
    url = parse_url(database_url)
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))
