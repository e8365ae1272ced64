"""The check of each answer of `aisha-webhook setup`, by the doctor's own looks where there is one."""

import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from app.catalog import translate
from app.cli.setup_words import SAYS
from app.core.clock import SystemClock
from app.core.config import Settings
from app.db.engine import open_database
from app.db.url import parse_url, sqlite_file
from app.doctor.database import check_database as look_at_database
from app.doctor.fal import look_at_account
from app.doctor.finding import Finding, Level
from app.doctor.host import names
from app.doctor.telegram import look_at_telegram
from app.domain.errors import DatabaseUnfit
from app.domain.invented import Invented
from app.domain.language import Language
from app.domain.message import Message
from app.domain.send_outcome import Sent, TokenRefused
from app.fal.client import make_client
from app.fal.own_key import OwnMachine
from app.telegram.client import TelegramClient
from app.telegram.sender import TelegramMessenger

# What the next step mends anyway.
EXPECTED = frozenset({"database.behind", "database.absent", "deliveries.dead", "notifications.dead"})

Check = Callable[[Settings, Language], Coroutine[Any, Any, list[Finding]]]


async def check_domain(settings: Settings, language: Language) -> list[Finding]:
    """Tell whether the name leads somewhere that fal may call, and whether that is this machine."""
    name = settings.api_domain
    found = names.look_up(name, language)
    try:
        addresses = names.resolve(name)
    except (OSError, UnicodeError):
        return found
    machine = OwnMachine()
    if not any(machine.allows(address) for address in addresses):
        facts = {"name": name, "addresses": ", ".join(addresses)}
        found.append(_said("setup.elsewhere", Level.WARN, "elsewhere", language, facts))
    return found


async def check_database(settings: Settings, language: Language) -> list[Finding]:
    """Tell whether the database answers, is the bot's, and lets this role work. Makes nothing."""
    url = settings.database_url.get_secret_value()
    try:
        file = sqlite_file(url)
        if file is not None and not file.exists():
            folder = next(parent for parent in file.absolute().parents if parent.exists())
            if not os.access(folder, os.W_OK | os.X_OK):
                return [_said("setup.folder_closed", Level.FAIL, "folder_closed", language, {"folder": folder})]
            return [_said("database.absent", Level.OK, "database_missing", language, {"file": file})]
        invented, now = Invented.of(settings.invented_artifacts), SystemClock().now()
        found = await look_at_database(lambda: open_database(url), file, language, invented=invented, now=now)
    except DatabaseUnfit as unfit:
        return [Finding("database.unfit", Level.FAIL, "; ".join(unfit.findings))]
    # A migration is the next command; a database that is only behind is all right.
    return [_expected(each) for each in found]


async def check_token(settings: Settings, language: Language) -> list[Finding]:
    """Ask Telegram whose token it is."""
    token = settings.telegram_token
    if token is None:
        return []
    return (await look_at_telegram(token.get_secret_value(), settings.telegram_api_url, 1, language))[:1]


async def check_chat(settings: Settings, language: Language) -> list[Finding]:
    """Send a message to the operator's chat."""
    token, chat = settings.telegram_token, settings.operator_chat_id
    if chat is None:
        return []
    if token is None:
        return [_said("setup.chat_unchecked", Level.WARN, "no_token_no_chat", language, {})]
    text = translate(SAYS["test_message"], language)
    async with TelegramClient(token.get_secret_value(), settings.telegram_api_url, connections=1) as client:
        outcome = await TelegramMessenger(client).send(chat, Message(text, text, ()))
    if isinstance(outcome, Sent):
        facts = {"message_id": outcome.message_id, "chat_id": outcome.chat_id}
        return [_said("setup.told", Level.OK, "told", language, facts)]
    why = "TELEGRAM_TOKEN" if isinstance(outcome, TokenRefused) else getattr(outcome, "why", type(outcome).__name__)
    return [_said("setup.not_told", Level.FAIL, "not_told", language, {"chat_id": chat, "why": why})]


async def check_key(settings: Settings, language: Language) -> list[Finding]:
    """Ask fal's queue for a request that there is not: the key is taken or refused. Costs nothing."""
    if settings.fal_api_key is None:
        return []
    client = make_client()
    try:
        found = await look_at_account(
            client,
            queue_url=settings.fal_queue_url,
            endpoint=settings.trainer_portrait,
            api_url=settings.fal_api_url,
            storage_url=settings.fal_storage_url,
            key=settings.fal_api_key.get_secret_value(),
            user_id="",
            language=language,
        )
    finally:
        await client.aclose()
    return [each for each in found if not each.code.startswith("account.")]


async def check_nothing(settings: Settings, language: Language) -> list[Finding]:  # noqa: ARG001  as the others
    """Check nothing: only fal's next delivery can tell."""
    return []


@dataclass(frozen=True, slots=True)
class Question:
    """One question: the field of Settings, the option that answers it, and how an answer is checked."""

    field: str
    option: str
    check: Check


QUESTIONS = (
    Question("api_domain", "--domain", check_domain),
    Question("database_url", "--database-file", check_database),
    Question("telegram_token", "--token-file", check_token),
    Question("operator_chat_id", "--chat", check_chat),
    Question("fal_api_key", "--fal-key-file", check_key),
    Question("fal_user_id", "--account", check_nothing),
)


def shown_url(url: str) -> str:
    """Spell a database's URL without its password."""
    found = parse_url(url)
    if found.get_backend_name() == "sqlite":
        return url
    return f"postgresql://…@{found.host or ''}/{found.database or ''}"


def _expected(each: Finding) -> Finding:
    return Finding(each.code, Level.WARN, each.text) if each.code in EXPECTED else each


def _said(code: str, level: Level, name: str, language: Language, facts: Mapping[str, object]) -> Finding:
    return Finding(code, level, translate(SAYS[name], language).format(**facts))
