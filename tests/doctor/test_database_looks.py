"""The doctor shows what a start would refuse in the database, with the command that mends it (fault 58)."""

import shlex

import pytest

from app.db.engine import open_database
from app.doctor.database import check_database
from app.doctor.finding import Finding
from app.domain.language import Language
from tests.factories import INVENTED
from tests.fakes import START
from tests.foreign import Foreign
from tests.pgbouncer import start_pgbouncer

pytestmark = pytest.mark.anyio


async def look(url: str, language: Language = "en") -> list[Finding]:
    return await check_database(lambda: open_database(url), None, language, invented=INVENTED, now=START)


async def test_missing_rights_come_with_the_command_that_grants_them(migrated: Foreign) -> None:
    """Quoted for a shell; run as the database's owner it is enough."""
    for _ in range(2):  # rights on our tables, then on the bot's
        [found] = await look(migrated.role_url)
        assert (found.code, found.level) == ("database.unfit", "fail")
        *words, database, _, statements = shlex.split(found.command)
        assert words == ["sudo", "-u", "postgres", "psql", "-d"]
        assert database == migrated.database
        migrated.run(statements)
    assert [each.code for each in await look(migrated.role_url)] == ["database.ok"]


async def test_what_a_migration_would_lack_stands_below_it(foreign: Foreign) -> None:
    """Both are told at once, in the operator's language."""
    behind, unfit = await look(foreign.role_url, "ru")
    assert (behind.code, unfit.code) == ("database.behind", "database.unfit")
    assert unfit.text == f"роли {foreign.role} нельзя создавать таблицы в схеме public"


async def test_what_no_statement_mends_has_no_command(migrated: Foreign) -> None:
    """A table of ours that is gone comes back from a backup only."""
    migrated.run("DROP TABLE webhook_slots")
    [found] = await look(migrated.url)
    assert (found.code, found.command) == ("database.unusable", "")
    assert "docs/backup.md" in found.remedy


async def test_a_guarded_database_is_told(foreign: Foreign) -> None:
    """It answers, and takes no writes."""
    foreign.run(f"ALTER DATABASE {foreign.database} SET default_transaction_read_only = on")
    [found] = await look(foreign.url)
    assert found.code == "database.read_only"


async def test_a_pooler_is_no_finding(migrated: Foreign) -> None:
    """Behind it everything works."""
    with start_pgbouncer(migrated.url, "transaction") as url:
        assert [each.code for each in await look(url)] == ["database.ok"]
    with start_pgbouncer(migrated.url, "statement") as url:
        [found] = await look(url)
    assert found.code == "database.unusable"
    assert "pool_mode = transaction" in found.remedy
