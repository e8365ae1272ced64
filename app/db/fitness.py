"""Whether a database lets this server work: its encoding, the role's rights, and what stands in it. Writes nothing."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from app.db.catalog import Standpoint, denied_of_the_bots, our_tables, place, schema_of_avatars
from app.db.engine import Database
from app.db.fitness_words import Shortcoming, shortcoming
from app.db.schema import VERSION, version_of, versions_of
from app.db.tables import HEAD, VERSION_TABLE, metadata
from app.db.trainings import missing_columns
from app.domain.errors import DatabaseReadOnly, DatabaseUnavailable, DatabaseUnfit
from app.domain.language import Language

Look = Callable[[Connection, Language], list[Shortcoming]]
STATEMENT_MODE = "statement pooling mode"  # PgBouncer's words


async def check_ground(database: Database, language: Language = "en") -> None:
    """Refuse a database that not even its version can be read of. Raises DatabaseUnfit, DatabaseReadOnly."""
    _refuse(await find(database, language, before_migrating))


async def check_tables(database: Database, language: Language = "en") -> None:
    """Refuse a database of this version whose tables the role cannot work on. Raises DatabaseUnfit."""
    _refuse(await find(database, language, after_migrating))


async def find(database: Database, language: Language, look: Look) -> list[Shortcoming]:
    """Run one of the looks below. Raises DatabaseUnavailable, DatabaseReadOnly."""
    try:
        return await database.read(look, language)
    except DatabaseUnavailable as error:
        if STATEMENT_MODE not in str(error):
            raise
        return [shortcoming("statement_mode", language, "")]


def require_place(connection: Connection, language: Language) -> None:
    """Refuse a database whose version cannot be told. Raises DatabaseUnfit, DatabaseReadOnly."""
    _refuse(before_migrating(connection, language))


def require_migratable(connection: Connection, language: Language) -> None:
    """Refuse a database that this role cannot migrate. Raises DatabaseUnfit."""
    _refuse(migrating(connection, language))


def _refuse(found: Sequence[Shortcoming]) -> None:
    if found:
        raise DatabaseUnfit([str(each) for each in found])


def before_migrating(connection: Connection, language: Language) -> list[Shortcoming]:
    """Look at what everything else stands on."""
    return (
        _place_found(connection, language)
        or _ours_denied_found(connection, language)
        or _version_found(connection, language)
    )


def migrating(connection: Connection, language: Language) -> list[Shortcoming]:
    """Look whether this role can make and change our tables. Nothing is looked at on SQLite."""
    if connection.dialect.name == "sqlite":
        return []
    at = place(connection)
    may_create = text("SELECT has_schema_privilege(current_schema(), 'CREATE')")
    if not connection.execute(may_create).scalar_one():
        grant = f"GRANT USAGE, CREATE ON SCHEMA {at.schema} TO {at.role};"
        return [shortcoming("no_create", language, at.database, grant, role=at.role, schema=at.schema)]
    foreign = [row for row in our_tables(connection) if not row.is_owner]
    if foreign:
        alter = " ".join(f"ALTER TABLE {row.name} OWNER TO {at.role};" for row in foreign)
        return [shortcoming("not_owner", language, at.database, alter, role=at.role, owner=foreign[0].owner)]
    return _elsewhere_found(connection, at, language)


def after_migrating(connection: Connection, language: Language) -> list[Shortcoming]:
    """Look whether all tables are there and may be worked on. Missing columns of the bot's are `find_bot_tables`'."""
    found = [] if connection.dialect.name == "sqlite" else _elsewhere_found(connection, place(connection), language)
    if missing := _missing_of_ours(connection):
        facts = {"version": str(version_of(connection)), "missing": ", ".join(missing)}
        found.append(shortcoming("ours_missing", language, _database(connection), **facts))
    if found or connection.dialect.name == "sqlite" or missing_columns(connection):
        return found
    return _bots_denied_found(connection, language)


def _place_found(connection: Connection, language: Language) -> list[Shortcoming]:
    if connection.dialect.name == "sqlite":
        return []
    at = place(connection)
    if at.is_standby or at.is_read_only:
        raise DatabaseReadOnly("pg_is_in_recovery = true" if at.is_standby else "default_transaction_read_only = on")
    if at.encoding != "UTF8":
        create = "CREATE DATABASE aisha_utf8 TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';"
        return [shortcoming("encoding", language, at.database, create, encoding=at.encoding)]
    if at.schema is None:
        grant = f"GRANT USAGE ON SCHEMA public TO {at.role};"
        return [shortcoming("no_schema", language, at.database, grant, role=at.role, path=at.path)]
    return []


def _ours_denied_found(connection: Connection, language: Language) -> list[Shortcoming]:
    if connection.dialect.name == "sqlite":
        return []
    denied = [row for row in our_tables(connection) if row.denied or row.counters]
    if not denied:
        return []
    at = place(connection)
    tables = _by_rights((row.name, tuple(row.denied)) for row in denied if row.denied)
    grants = [f"GRANT {', '.join(rights)} ON {', '.join(names)} TO {at.role};" for rights, names in tables.items()]
    counters = [name for row in denied for name in row.counters]
    if counters:
        grants.append(f"GRANT USAGE ON SEQUENCE {', '.join(counters)} TO {at.role};")
    missing = _spelled(tables) if tables else f"USAGE: {', '.join(counters)}"
    facts = {"role": at.role, "owner": denied[0].owner, "missing": missing}
    return [shortcoming("ours_denied", language, at.database, " ".join(grants), **facts)]


def _version_found(connection: Connection, language: Language) -> list[Shortcoming]:
    inspector = inspect(connection)
    is_kept, versions = inspector.has_table(VERSION_TABLE), versions_of(connection)
    if len(versions) == 1 and VERSION.fullmatch(versions[0]):
        return []
    is_anything = any(inspector.has_table(name) for name in metadata.tables)
    if not versions and not is_anything:
        return []  # a migration begins with that
    clear = "DELETE FROM {}" if is_kept else "CREATE TABLE {} (version_num varchar(32) PRIMARY KEY)"
    if not _missing_of_ours(connection):
        code, sql = "version_odd", f"{clear}; INSERT INTO {{}} VALUES ('{HEAD}');"  # noqa: S608  constants  # nosec B608
    else:
        code, sql = ("version_lost", "") if is_anything else ("version_alone", "DROP TABLE {};")
    found = ", ".join(map(repr, versions)) or "0"
    return [shortcoming(code, language, _database(connection), sql.replace("{}", VERSION_TABLE), found=found)]


def _elsewhere_found(connection: Connection, at: Standpoint, language: Language) -> list[Shortcoming]:
    """Look for the bot's tables where this role does not see them."""
    if inspect(connection).has_table("avatars"):
        return []
    row = schema_of_avatars(connection)
    if row is None:
        return []
    if not row.is_open:
        grant = f"GRANT USAGE ON SCHEMA {row.schema} TO {at.role};"
        return [shortcoming("closed_schema", language, at.database, grant, role=at.role, schema=row.schema)]
    alter = f"ALTER ROLE {at.role} SET search_path = {row.schema};"
    facts = {"role": at.role, "schema": row.schema, "path": at.path}
    return [shortcoming("elsewhere", language, at.database, alter, **facts)]


def _bots_denied_found(connection: Connection, language: Language) -> list[Shortcoming]:
    denied = denied_of_the_bots(connection)
    if not denied:
        return []
    at = place(connection)
    grouped = _by_rights((name, tuple(wanted)) for name, wanted in denied.items())
    grants = [f"GRANT {', '.join(rights)} ON {', '.join(names)} TO {at.role};" for rights, names in grouped.items()]
    return [
        shortcoming("bots_denied", language, at.database, " ".join(grants), role=at.role, missing=_spelled(grouped))
    ]


def _database(connection: Connection) -> str:
    if connection.dialect.name == "sqlite":
        return str(connection.engine.url.database)
    return place(connection).database


def _missing_of_ours(connection: Connection) -> list[str]:
    """Name every table and column of ours that is not there."""
    return missing_columns(connection, {str(name): table.c.keys() for name, table in metadata.tables.items()})


def _by_rights(denied: Iterable[tuple[str, tuple[str, ...]]]) -> dict[tuple[str, ...], list[str]]:
    grouped: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, rights in denied:
        grouped[rights].append(name)
    return grouped


def _spelled(grouped: dict[tuple[str, ...], list[str]]) -> str:
    return "; ".join(f"{', '.join(rights)}: {', '.join(names)}" for rights, names in grouped.items())
