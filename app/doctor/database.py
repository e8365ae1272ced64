"""Whether the database exists, is undamaged, up to date and the bot's, and what in it waits for the operator."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from app.db import schema, views
from app.db.engine import Database
from app.doctor.finding import EDIT_SETTINGS, Catalogue, Finding, Level, Wording, finding
from app.doctor.pollers import look_for_pollers
from app.domain.errors import DatabaseUnavailable, DatabaseUnfit
from app.domain.invented import Invented
from app.domain.language import Language
from app.domain.notification import NotificationState

DECIDE = ("Посмотрите причину, затем redrive или ignore.", "Look at the reason, then redrive or ignore.")

WORDS: Catalogue = {
    "database.ok": Wording(Level.OK, ("база на месте и этой версии", "the database is there and of this version")),
    "database.absent": Wording(
        Level.WARN,
        ("файла базы {file} ещё нет", "there is no database file {file} yet"),
        ("Создайте его; первый запуск сервера делает то же.", "Make it; the server's first start does the same."),
        "aisha-webhook migrate",
    ),
    "database.unreachable": Wording(
        Level.FAIL,
        ("база не отвечает: {cause}", "the database does not answer: {cause}"),
        ("Проверьте DATABASE_URL и что база запущена.", "Check DATABASE_URL and that the database runs."),
        "systemctl status postgresql",
    ),
    "database.behind": Wording(
        Level.FAIL,
        ("база отстаёт от этой версии сервера", "the database is behind this version of the server"),
        ("Выполните миграции.", "Run the migrations."),
        "aisha-webhook migrate",
    ),
    "database.damaged": Wording(
        Level.FAIL,
        ("{cause}", "{cause}"),
        (
            "Остановите сервер и восстановите последнюю копию: {rest}",
            "Stop the server, restore the newest backup: {rest}",
        ),
        "sudo systemctl stop aisha-webhook-api",
    ),
    "database.not_the_bots": Wording(
        Level.FAIL,
        ("{cause}", "{cause}"),
        ("{rest}", "{rest}"),
        EDIT_SETTINGS,
    ),
    "deliveries.dead": Wording(
        Level.WARN,
        ("доставок, ждущих решения оператора: {count}", "deliveries that wait for the operator: {count}"),
        DECIDE,
        "aisha-webhook deliveries list --state dead",
    ),
    "notifications.dead": Wording(
        Level.WARN,
        ("сообщений, ждущих решения оператора: {count}", "messages that wait for the operator: {count}"),
        DECIDE,
        "aisha-webhook notifications list --state dead",
    ),
    "notifications.unsent": Wording(
        Level.WARN,
        ("сообщений, записанных без токена и не отправленных: {count}", "messages logged without a token: {count}"),
        ("Задайте TELEGRAM_TOKEN, затем отправьте их.", "Set TELEGRAM_TOKEN, then send them."),
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
    except DatabaseUnavailable as error:
        return [finding(WORDS, "database.unreachable", language, cause=error)]
    finally:
        await database.close()


async def _check(database: Database, language: Language, invented: Invented, now: datetime) -> list[Finding]:
    try:
        await schema.check_soundness(database, language)
    except DatabaseUnfit as unfit:
        return [_unfit("database.damaged", unfit, 1, language)]
    if await schema.is_behind(database):
        return [finding(WORDS, "database.behind", language)]
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


def _unfit(code: str, unfit: DatabaseUnfit, causes: int, language: Language) -> Finding:
    """Build the finding from the lines of `unfit`: the first `causes` say what is wrong, the rest what to do."""
    cause, rest = "; ".join(unfit.findings[:causes]), "; ".join(unfit.findings[causes:])
    return finding(WORDS, code, language, cause=cause, rest=rest)
