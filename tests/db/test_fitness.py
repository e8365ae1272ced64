"""A database of somebody else's making is refused with what mends it, or works; never a traceback (fault 58)."""

import asyncio

import psycopg
import pytest

from app.bootstrap.database import check_database, needs_migration
from app.core.setting_loader import load_settings
from app.db.engine import open_database
from app.db.migrate import migrate
from app.db.migrate_apart import Migration
from app.db.tables import HEAD, VERSION_TABLE
from app.domain.errors import DatabaseBehind, DatabaseReadOnly, DatabaseUnavailable, DatabaseUnfit
from app.domain.language import Language
from tests.foreign import Foreign
from tests.pgbouncer import start_pgbouncer

RIGHTS = "SELECT, INSERT, UPDATE, DELETE"


def migrate_apart(url: str, language: Language = "en") -> None:
    Migration(url, language).finish()


def start(url: str, language: Language = "en") -> None:
    """What a start does with a database, before it listens."""
    asyncio.run(check_database(load_settings(None, {"DATABASE_URL": url, "DEFAULT_LANGUAGE": language})))


def refusal(url: str, language: Language = "en") -> str:
    with pytest.raises(DatabaseUnfit) as refused:
        start(url, language)
    [line] = refused.value.findings
    assert line.count("\n") == 0
    return line


def mended_by(foreign: Foreign, line: str) -> str:
    """Run the statements at the end of a sentence; return them."""
    statements = line[line.rindex(": ") + 2 :]
    foreign.run(statements)
    return statements


def grant_all(foreign: Foreign) -> None:
    foreign.run(f"GRANT {RIGHTS} ON ALL TABLES IN SCHEMA public TO {foreign.role}")
    foreign.run(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {foreign.role}")


# Rights


def test_a_role_with_what_is_granted_here_starts(migrated: Foreign) -> None:
    """The two sentences, followed, are enough for a role that owns nothing."""
    ours = refusal(migrated.role_url)
    assert f"the role {migrated.role} lacks rights on our tables, which the role postgres made" in ours
    assert "GRANT USAGE ON SEQUENCE public.webhook_deliveries_id_seq" in mended_by(migrated, ours)
    bots = refusal(migrated.role_url)
    assert mended_by(migrated, bots) == f"GRANT SELECT, UPDATE ON public.avatars, public.users TO {migrated.role};"
    start(migrated.role_url)


@pytest.mark.parametrize(
    ("taken", "grant"),
    [
        ("UPDATE ON avatars", "GRANT UPDATE ON public.avatars TO {}"),
        ("SELECT, UPDATE ON users", "GRANT SELECT, UPDATE ON public.users TO {}"),
        ("INSERT ON webhook_chores", "GRANT INSERT ON public.webhook_chores TO {}"),
        ("SELECT ON webhook_schema_version", "GRANT SELECT ON public.webhook_schema_version TO {}"),
        (
            "USAGE ON SEQUENCE webhook_deliveries_id_seq",
            "GRANT USAGE ON SEQUENCE public.webhook_deliveries_id_seq TO {}",
        ),
    ],
)
def test_a_missing_right_is_named_with_its_grant(migrated: Foreign, taken: str, grant: str) -> None:
    """In both languages, and the GRANT is enough."""
    grant_all(migrated)
    start(migrated.role_url)
    migrated.run(f"REVOKE {taken} FROM {migrated.role}")
    assert f"роли {migrated.role} не хватает прав" in refusal(migrated.role_url, "ru")
    assert mended_by(migrated, refusal(migrated.role_url)) == grant.format(migrated.role) + ";"
    start(migrated.role_url)


def test_rights_on_columns_are_enough(migrated: Foreign) -> None:
    """A careful owner may grant the columns that docs/bot-database.md says are written."""
    grant_all(migrated)
    migrated.run(
        f"REVOKE UPDATE ON users FROM {migrated.role}",
        f"GRANT UPDATE (is_blocked) ON users TO {migrated.role}",
    )
    start(migrated.role_url)


def test_a_right_taken_away_later_is_unavailability(migrated: Foreign) -> None:
    """A delivery waits until it is given back, and is no bug."""
    database = open_database(migrated.role_url)

    async def look() -> None:
        try:
            await database.read(lambda connection: connection.exec_driver_sql("SELECT 1 FROM avatars").close())
        finally:
            await database.close()

    with pytest.raises(DatabaseUnavailable, match="permission denied for table avatars"):
        asyncio.run(look())


# Migrating


@pytest.mark.parametrize("run", [migrate, migrate_apart])
def test_a_role_that_may_not_create_is_told_so(foreign: Foreign, run: object) -> None:
    """Before anything is tried; with the GRANT it migrates, and owns what it made."""
    with pytest.raises(DatabaseBehind):
        start(foreign.role_url)
    with pytest.raises(DatabaseUnfit, match="may not create tables in the schema public") as refused:
        run(foreign.role_url, "en")  # type: ignore[operator]  # one of the two
    assert mended_by(foreign, str(refused.value)) == f"GRANT USAGE, CREATE ON SCHEMA public TO {foreign.role};"
    run(foreign.role_url, "en")  # type: ignore[operator]  # as above
    foreign.run(f"GRANT SELECT, UPDATE ON avatars, users TO {foreign.role}")
    start(foreign.role_url)


def test_tables_of_another_role_are_not_migrated(migrated: Foreign) -> None:
    """Only an owner can alter them: which role that is, and how to hand them over."""
    grant_all(migrated)
    migrated.run(
        f"GRANT USAGE, CREATE ON SCHEMA public TO {migrated.role}", f"UPDATE {VERSION_TABLE} SET version_num = '0001'"
    )
    with pytest.raises(DatabaseUnfit, match="our tables belong to the role postgres") as refused:
        migrate(migrated.role_url)
    mended_by(migrated, str(refused.value))
    migrated.run(f"UPDATE {VERSION_TABLE} SET version_num = '{HEAD}'")
    migrate(migrated.role_url)


# Schemas


def test_a_schema_beside_the_path_is_named(foreign: Foreign) -> None:
    """The bot's tables in a schema of its own, and a role that looks into public."""
    foreign.run("CREATE SCHEMA bot", "ALTER TABLE users SET SCHEMA bot", "ALTER TABLE avatars SET SCHEMA bot")
    foreign.run(
        f"GRANT CREATE ON SCHEMA public, bot TO {foreign.role}",
        f"GRANT {RIGHTS} ON ALL TABLES IN SCHEMA bot TO {foreign.role}",
    )
    with pytest.raises(DatabaseUnfit, match="avatars stands in the schema bot, which is closed") as refused:
        migrate(foreign.role_url)
    mended_by(foreign, str(refused.value))
    with pytest.raises(DatabaseUnfit, match=r"does not look into.*options=-csearch_path%3Dbot"):
        migrate(foreign.role_url)
    inside = f"{foreign.role_url}&options=-csearch_path%3Dbot"
    migrate(inside)
    start(inside)


def test_a_role_without_any_schema_is_told_so(foreign: Foreign) -> None:
    """Its tables would be nowhere."""
    foreign.run("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    line = refusal(foreign.role_url)
    assert "may use no schema of its search_path" in line
    assert mended_by(foreign, line) == f"GRANT USAGE ON SCHEMA public TO {foreign.role};"
    with pytest.raises(DatabaseBehind):
        start(foreign.role_url)


# What stands in the database


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE webhook_schema_version SET version_num = 'abcdef123456'", "holds 'abcdef123456'"),
        ("INSERT INTO webhook_schema_version VALUES ('0001')", f"holds '0001', '{HEAD}'"),
        ("DELETE FROM webhook_schema_version", "holds 0"),
        ("DROP TABLE webhook_schema_version", "holds 0"),
    ],
)
def test_an_odd_version_is_mended_where_the_tables_are_whole(migrated: Foreign, change: str, said: str) -> None:
    """By the server, by `migrate` and by `migrate --check` the same is said."""
    migrated.run(change)
    line = refusal(migrated.url)
    assert said in line
    settings = load_settings(None, {"DATABASE_URL": migrated.url, "DEFAULT_LANGUAGE": "en"})
    for run in (lambda: migrate(migrated.url), lambda: asyncio.run(needs_migration(settings))):
        with pytest.raises(DatabaseUnfit) as refused:
            run()
        assert str(refused.value) == line
    mended_by(migrated, line)
    start(migrated.url)


def test_an_odd_version_without_our_tables_is_dropped(foreign: Foreign) -> None:
    """Somebody else's number, and nothing of ours."""
    foreign.run(f"CREATE TABLE {VERSION_TABLE} (version_num varchar(32))", f"INSERT INTO {VERSION_TABLE} VALUES ('x')")
    assert mended_by(foreign, refusal(foreign.url)) == f"DROP TABLE {VERSION_TABLE};"
    migrate(foreign.url)
    start(foreign.url)


def test_a_newer_version_is_worked_on(migrated: Foreign) -> None:
    """Migrations only add."""
    migrated.run(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    migrate(migrated.url)
    start(migrated.url)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("DROP TABLE webhook_slots", "webhook_slots"),
        ("ALTER TABLE webhook_deliveries DROP COLUMN repeats", "webhook_deliveries.repeats"),
    ],
)
def test_a_missing_table_of_ours_is_named(migrated: Foreign, change: str, name: str) -> None:
    """At the start, and not by the first delivery."""
    migrated.run(change)
    assert f"the database is at version {HEAD} and lacks {name} of ours" in refusal(migrated.url)


# The database itself


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_another_encoding_is_refused(postgres: str, foreign: Foreign, encoding: str) -> None:
    """Names come in any language: neither the server nor a migration begins."""
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {foreign.database}_x TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
        try:
            url = foreign.url.replace(foreign.database, f"{foreign.database}_x")
            line = refusal(url)
            assert f"is encoded in {encoding}" in line
            admin.execute(line[line.rindex(": ") + 2 :])
            admin.execute("DROP DATABASE aisha_utf8")
            with pytest.raises(DatabaseUnfit, match=f"is encoded in {encoding}"):
                migrate(url)
        finally:
            admin.execute(f"DROP DATABASE {foreign.database}_x WITH (FORCE)")


def test_a_guarded_database_is_waited_for(foreign: Foreign) -> None:
    """Somebody forbade writes, for a move perhaps: that is not overruled, and may pass by itself."""
    foreign.run(f"ALTER DATABASE {foreign.database} SET default_transaction_read_only = on")
    for run in (start, migrate, migrate_apart):
        with pytest.raises(DatabaseReadOnly, match="default_transaction_read_only = on"):
            run(foreign.url)


def test_statement_mode_is_refused(postgres_url: str) -> None:
    """It has no transactions, so nothing could be stored and applied at once."""
    with start_pgbouncer(postgres_url, "statement") as url:
        assert "pool_mode = transaction" in refusal(url)


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_start_and_a_migration_work_behind_a_pooler(foreign: Foreign, mode: str) -> None:
    """With its default settings."""
    with start_pgbouncer(foreign.url, mode) as url:
        with pytest.raises(DatabaseBehind):
            start(url)
        migrate(url)
        start(url)
