"""What is said about a PostgreSQL database that this server cannot work on, and the statement that mends it."""

from dataclasses import dataclass

from app.catalog import translate
from app.domain.language import Language, Msgid, msgid

# Code: (what is wrong, what to do, as whom it stands in front of).
WORDS: dict[str, tuple[Msgid, Msgid]] = {
    "encoding": (
        msgid("the database {database} is encoded in {encoding}, and names and fal's answers come in any language"),
        msgid("Make a database in UTF8 and move the bot there (pg_dump, psql)"),
    ),
    "no_schema": (
        msgid("the role {role} may use no schema of its search_path ({path})"),
        msgid("Open a schema to it"),
    ),
    "no_create": (
        msgid("the role {role} may not create tables in the schema {schema}"),
        msgid("Let it"),
    ),
    "not_owner": (
        msgid("our tables belong to the role {owner}, and the role {role} cannot change them"),
        msgid("Run aisha-webhook migrate with that role's DATABASE_URL, or give the tables to this one"),
    ),
    "ours_denied": (
        msgid("the role {role} lacks rights on our tables, which the role {owner} made ({missing})"),
        msgid("Grant them"),
    ),
    "ours_missing": (
        msgid("the database is at version {version} and lacks {missing} of ours"),
        msgid("Check search_path; if it is right, restore a backup: docs/backup.md"),
    ),
    "bots_denied": (
        msgid("the role {role} lacks rights on the bot's tables ({missing})"),
        msgid("Grant them"),
    ),
    "elsewhere": (
        msgid("the table avatars stands in the schema {schema}, which the role {role} does not look into ({path})"),
        msgid("Add options=-csearch_path%3D{schema} to DATABASE_URL, or set it for the role"),
    ),
    "closed_schema": (
        msgid("the table avatars stands in the schema {schema}, which is closed to the role {role}"),
        msgid("Open it"),
    ),
    "version_odd": (
        msgid("webhook_schema_version holds {found}, and one migration's number is expected"),
        msgid("Our tables are whole, so write the number"),
    ),
    "version_alone": (
        msgid("webhook_schema_version holds {found}, and no table of ours is there"),
        msgid("Drop it and run aisha-webhook migrate again"),
    ),
    "version_lost": (
        msgid("webhook_schema_version holds {found}, and some of our tables are missing"),
        msgid("Restore a backup: docs/backup.md"),
    ),
    "statement_mode": (
        msgid("PgBouncer is in statement mode, which has no transactions"),
        msgid("Set pool_mode = transaction in pgbouncer.ini"),
    ),
}


@dataclass(frozen=True, slots=True)
class Shortcoming:
    """One thing that is wrong with the database, in the operator's language; `sql` mends it where SQL can."""

    code: str
    cause: str
    remedy: str
    database: str
    sql: str = ""

    def __str__(self) -> str:
        return f"{self.cause}. {self.remedy}: {self.sql}" if self.sql else f"{self.cause}. {self.remedy}"


def shortcoming(code: str, language: Language, database: str, sql: str = "", **facts: object) -> Shortcoming:
    """Word what is wrong. Raises KeyError for a code or a fact that is not there."""
    cause, remedy = (translate(words, language).format(database=database, **facts) for words in WORDS[code])
    return Shortcoming(code, cause, remedy, database, sql)
