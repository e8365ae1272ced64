"""Whether the database exists, is undamaged, up to date and the bot's, and what in it waits for the operator."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from app.db import fitness, schema, views
from app.db.engine import Database
from app.doctor.finding import EDIT_SETTINGS, Catalogue, Finding, Level, Wording, finding
from app.doctor.pollers import look_for_pollers
from app.domain.errors import DatabaseReadOnly, DatabaseUnavailable, DatabaseUnfit
from app.domain.invented import Invented
from app.domain.language import Language, Msgid, msgid
from app.domain.notification import NotificationState

DECIDE = msgid("Look at the reason, then redrive or ignore.")

WORDS: Catalogue = {
    "database.ok": Wording(Level.OK, msgid("the database is there and of this version")),
    "database.absent": Wording(
        Level.WARN,
        msgid("there is no database file {file} yet"),
        msgid("Make it; the server's first start does the same."),
        "aisha-webhook migrate",
    ),
    "database.unreachable": Wording(
        Level.FAIL,
        msgid("the database does not answer: {cause}"),
        msgid("Check DATABASE_URL and that the database runs."),
        "systemctl status postgresql",
    ),
    "database.read_only": Wording(
        Level.FAIL,
        msgid("the database takes no writes: {cause}"),
        msgid("A standby? Name the primary in DATABASE_URL. Guarded? Lift that when it may be written to."),
        EDIT_SETTINGS,
    ),
    "database.unfit": Wording(
        Level.FAIL, Msgid("{cause}"), Msgid("{remedy}."), "sudo -u postgres psql -d {database} -c {sql}"
    ),
    "database.unusable": Wording(Level.FAIL, Msgid("{cause}"), Msgid("{remedy}.")),
    "database.behind": Wording(
        Level.FAIL,
        msgid("the database is behind this version of the server"),
        msgid("Run the migrations."),
        "aisha-webhook migrate",
    ),
    "database.damaged": Wording(
        Level.FAIL,
        Msgid("{cause}"),
        msgid("Stop the server, restore the newest backup: {rest}"),
        "sudo systemctl stop aisha-webhook-api",
    ),
    "database.not_the_bots": Wording(
        Level.FAIL,
        Msgid("{cause}"),
        Msgid("{rest}"),
        EDIT_SETTINGS,
    ),
    "deliveries.dead": Wording(
        Level.WARN,
        msgid("deliveries that wait for the operator: {count}"),
        DECIDE,
        "aisha-webhook deliveries list --state dead",
    ),
    "notifications.dead": Wording(
        Level.WARN,
        msgid("messages that wait for the operator: {count}"),
        DECIDE,
        "aisha-webhook notifications list --state dead",
    ),
    "notifications.unsent": Wording(
        Level.WARN,
        msgid("messages logged without a token: {count}"),
        msgid("Set TELEGRAM_TOKEN, then send them."),
        "aisha-webhook notifications list --state unsent",
    ),
}


async def check_database(
    opens: Callable[[], Database], file: Path | None, language: Language, *, invented: Invented, now: datetime
) -> list[Finding]:
    """Judge the database that `opens` opens; `file` is SQLite's, None for PostgreSQL. Writes nothing, makes no file.

    `invented` tells the artifacts of the bot's pollers from real ones.
    """
    if file is not None and not await asyncio.to_thread(file.exists):
        return [finding(WORDS, "database.absent", language, file=file)]
    database = opens()
    try:
        return await _check(database, language, invented, now)
    except DatabaseReadOnly as error:
        return [finding(WORDS, "database.read_only", language, cause=error)]
    except DatabaseUnavailable as error:
        return [finding(WORDS, "database.unreachable", language, cause=error)]
    finally:
        await database.close()


async def _check(database: Database, language: Language, invented: Invented, now: datetime) -> list[Finding]:
    try:
        await schema.check_soundness(database, language)
    except DatabaseUnfit as unfit:
        return [_unfit("database.damaged", unfit, 1, language)]
    if short := await _short(database, language, fitness.before_migrating):
        return short
    if await schema.is_behind(database):
        behind = finding(WORDS, "database.behind", language)
        return [behind, *await _short(database, language, fitness.migrating)]
    if short := await _short(database, language, fitness.after_migrating):
        return short
    try:
        bot_tables = await schema.find_bot_tables(database, language)
    except DatabaseUnfit as unfit:
        return [_unfit("database.not_the_bots", unfit, len(unfit.findings) - 1, language)]
    undecided = {
        "deliveries.dead": await database.read(views.count_dead_deliveries),
        "notifications.dead": await database.read(views.count_notifications, NotificationState.DEAD),
        "notifications.unsent": await database.read(views.count_notifications, NotificationState.UNSENT),
    }
    found = [finding(WORDS, code, language, count=count) for code, count in undecided.items() if count]
    found += await look_for_pollers(database, bot_tables, invented, now, language)
    return [finding(WORDS, "database.ok", language), *found]


async def _short(database: Database, language: Language, look: fitness.Look) -> list[Finding]:
    """Word what this look finds wrong, with the statement that mends it as a command where psql can run it."""
    findings = []
    for each in await fitness.find(database, language, look):
        if each.sql and not database.is_sqlite:
            facts = {"cause": each.cause, "remedy": each.remedy, "database": each.database, "sql": each.sql}
            findings.append(finding(WORDS, "database.unfit", language, **facts))
        else:
            remedy = f"{each.remedy}: {each.sql}" if each.sql else each.remedy
            findings.append(finding(WORDS, "database.unusable", language, cause=each.cause, remedy=remedy))
    return findings


def _unfit(code: str, unfit: DatabaseUnfit, causes: int, language: Language) -> Finding:
    """Build the finding from the lines of `unfit`: the first `causes` say what is wrong, the rest what to do."""
    cause, rest = "; ".join(unfit.findings[:causes]), "; ".join(unfit.findings[causes:])
    return finding(WORDS, code, language, cause=cause, rest=rest)
