"""DATABASE_URL in any accepted spelling, the bot's included."""

from pathlib import Path

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
        "statement_cache_size",
    }
)


def parse_url(database_url: str) -> URL:
    """Read any accepted spelling of DATABASE_URL and name our own driver."""
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        return url.set(drivername="sqlite")
    # `postgres://` is no dialect of SQLAlchemy's; asyncpg is the bot's driver, not ours.
    return _without_asyncpg(url.set(drivername="postgresql+psycopg"))


def _without_asyncpg(url: URL) -> URL:
    """Spell the bot's options for libpq. Raises DatabaseUnfit for one that neither driver knows."""
    from psycopg import ProgrammingError  # noqa: PLC0415  SQLite need not pay for it: a fifth of a second, five MiB
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415  as above

    options = {name: value for name, value in url.query.items() if name not in ASYNCPG_ONLY}
    if (ssl := options.pop("ssl", None)) is not None:
        options.setdefault("sslmode", "require" if str(ssl).lower() in ("true", "1") else ssl)
    try:
        make_conninfo(**{name: value if isinstance(value, str) else ",".join(value) for name, value in options.items()})
    except ProgrammingError as error:
        raise DatabaseUnfit([f"DATABASE_URL: {str(error).partition(chr(10))[0]}; remove it after the '?'"]) from None
    return url.set(query=options)


def sqlite_file(database_url: str) -> Path | None:
    """Return the path of a SQLite database, or None for PostgreSQL and for memory."""
    url = parse_url(database_url)
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))
