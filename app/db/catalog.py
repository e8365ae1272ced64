"""What PostgreSQL's catalog says about this session's place and rights."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.engine import Connection

from app.db.tables import VERSION_TABLE, metadata
from app.db.trainings import NEEDED, WRITTEN

WORK = ("SELECT", "INSERT", "UPDATE", "DELETE")  # what we do with tables of ours; their version is only read

_PLACE = text("""
SELECT quote_ident(current_user) AS role, current_database() AS database, quote_ident(current_schema()) AS schema,
  current_setting('search_path') AS path, pg_encoding_to_char(encoding) AS encoding,
  pg_is_in_recovery() AS is_standby, current_setting('transaction_read_only') = 'on' AS is_read_only
FROM pg_database WHERE datname = current_database()
""")
_OURS = text("""
SELECT format('%I.%I', space.nspname, found.relname) AS name, pg_get_userbyid(found.relowner) AS owner,
  pg_has_role(found.relowner, 'USAGE') AS is_owner,
  ARRAY(SELECT wanted FROM unnest(CAST(:work AS text[])) AS wanted
    WHERE (found.relname <> :version OR wanted = 'SELECT') AND NOT has_table_privilege(found.oid, wanted)) AS denied,
  ARRAY(SELECT format('%I.%I', space.nspname, counter.relname) FROM pg_depend JOIN pg_class AS counter
    ON counter.oid = objid WHERE refobjid = found.oid AND deptype IN ('a', 'i')
    AND CASE counter.relkind WHEN 'S' THEN NOT has_sequence_privilege(counter.oid, 'USAGE') END) AS counters
FROM pg_class AS found JOIN pg_namespace AS space ON space.oid = found.relnamespace
WHERE found.relname = ANY (:names) AND found.relkind IN ('r', 'p') AND pg_table_is_visible(found.oid)
ORDER BY 1
""")
_DENIED = text("""
SELECT DISTINCT format('%I.%I', space.nspname, found.relname) AS name, relname, wanted
FROM unnest(CAST(:tables AS text[]), CAST(:columns AS text[]), CAST(:rights AS text[]))
  AS needed (name, attname, wanted)
JOIN pg_class AS found ON found.oid = to_regclass(needed.name) JOIN pg_namespace AS space ON space.oid = relnamespace
WHERE NOT has_column_privilege(found.oid, attname, wanted)
ORDER BY 1, wanted
""")
_ELSEWHERE = text("""
SELECT quote_ident(nspname) AS schema, has_schema_privilege(space.oid, 'USAGE') AS is_open
FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace
WHERE relname = 'avatars' AND relkind IN ('r', 'p', 'v') ORDER BY 1 LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class Standpoint:
    """Where a session on PostgreSQL found itself; names are quoted for SQL."""

    role: str
    database: str
    schema: str | None
    path: str
    encoding: str
    is_standby: bool
    is_read_only: bool


def place(connection: Connection) -> Standpoint:
    """Tell where this session is."""
    return Standpoint(**connection.execute(_PLACE).mappings().one())


def our_tables(connection: Connection) -> Sequence[Row[Any]]:
    """List our tables that are seen: name, owner, is_owner, the rights denied, the counters of ids denied."""
    names = [*map(str, metadata.tables), VERSION_TABLE]
    return connection.execute(_OURS, {"names": names, "work": list(WORK), "version": VERSION_TABLE}).all()


def denied_of_the_bots(connection: Connection) -> Mapping[str, list[str]]:
    """List the rights that are needed and denied, by table of the bot's; every column must be there."""
    needed = [(table, column, "SELECT") for table, columns in NEEDED.items() for column in columns]
    needed += [(table, column, "UPDATE") for table, columns in WRITTEN.items() for column in columns]
    tables, columns, rights = ([each[at] for each in needed] for at in range(3))
    denied: dict[str, list[str]] = defaultdict(list)
    for row in connection.execute(_DENIED, {"tables": tables, "columns": columns, "rights": rights}):
        denied[row.name].append(row.wanted)
    return denied


def schema_of_avatars(connection: Connection) -> Row[Any] | None:
    """Tell in which schema a table `avatars` is, seen or not, and whether the schema is open to this role."""
    return connection.execute(_ELSEWHERE).first()
