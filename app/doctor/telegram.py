"""Whether Telegram accepts the bot's token: one getMe.

The token is part of the URL and of python-telegram-bot's messages, so an exception's text is never passed on.
"""

import asyncio
import logging

from telegram import Bot
from telegram.error import InvalidToken, NetworkError, TelegramError
from telegram.request import HTTPXRequest

from app.doctor.finding import CURL_STATUS, EDIT_SETTINGS, SEE_ANSWER, Catalogue, Finding, Level, Wording, finding
from app.domain.language import Language

SECONDS = 4.0

WORDS: Catalogue = {
    "telegram.ok": Wording(Level.OK, ("Telegram знает бота: @{bot}", "Telegram knows the bot: @{bot}")),
    "telegram.no_token": Wording(
        Level.WARN,
        (
            "TELEGRAM_TOKEN не задан: сообщения пишутся в журнал и остаются неотправленными",
            "TELEGRAM_TOKEN is not set: messages are logged and stay unsent",
        ),
        ("Возьмите токен у @BotFather (/mybots) и впишите в .env.", "Get the token from @BotFather (/mybots)."),
        EDIT_SETTINGS,
    ),
    "telegram.token_refused": Wording(
        Level.FAIL,
        ("Telegram не принимает TELEGRAM_TOKEN", "Telegram refuses TELEGRAM_TOKEN"),
        (
            "Возьмите действующий токен у @BotFather (/mybots → API Token), впишите в .env и перезапустите сервер.",
            "Get the valid token from @BotFather (/mybots → API Token), write it into .env and restart the server.",
        ),
        "sudo systemctl restart aisha-webhook-api",
    ),
    "telegram.unreachable": Wording(
        Level.FAIL,
        ("Telegram недоступен ({why}): сообщения ждут", "Telegram is not reached ({why}): messages wait"),
        (
            "Проверьте выход в интернет и TELEGRAM_API_URL; где Telegram закрыт, нужен HTTPS_PROXY.",
            "Check the way out and TELEGRAM_API_URL; where Telegram is blocked, HTTPS_PROXY is needed.",
        ),
        CURL_STATUS,
    ),
    "telegram.odd": Wording(
        Level.WARN,
        ("Telegram ответил на getMe не как обычно ({why})", "Telegram answered getMe in an unusual way ({why})"),
        SEE_ANSWER,
        CURL_STATUS,
    ),
    "telegram.operator_known": Wording(Level.OK, ("чат оператора задан", "the operator's chat is set")),
    "telegram.no_operator": Wording(
        Level.WARN,
        (
            "OPERATOR_CHAT_ID не задан: о сбоях никто не узнает",
            "OPERATOR_CHAT_ID is not set: nobody is told of trouble",
        ),
        (
            "Узнайте id своего чата у @userinfobot и впишите в .env.",
            "Ask @userinfobot for your chat's id and write it into .env.",
        ),
        EDIT_SETTINGS,
    ),
}


async def look_at_telegram(
    token: str | None, api_url: str, operator_chat_id: int | None, language: Language
) -> list[Finding]:
    """Judge token, bot and operator's chat. Sends no message."""
    chat = "telegram.no_operator" if operator_chat_id is None else "telegram.operator_known"
    found = finding(WORDS, chat, language)
    if token is None:
        return [finding(WORDS, "telegram.no_token", language), found]
    code, facts = await _get_me(token, api_url)
    return [finding(WORDS, code, language, url=api_url, **facts), found]


async def _get_me(token: str, api_url: str) -> tuple[str, dict[str, str]]:
    for name in ("httpx", "httpcore", "telegram"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # their records hold the URL, and so the token
    request = HTTPXRequest(connect_timeout=SECONDS, read_timeout=SECONDS, write_timeout=SECONDS, pool_timeout=SECONDS)
    bot = Bot(token, base_url=f"{api_url.rstrip('/')}/bot", request=request, get_updates_request=request)
    try:
        async with asyncio.timeout(SECONDS):
            await request.initialize()
            me = await bot.get_me()
    except InvalidToken:
        return "telegram.token_refused", {}
    except (NetworkError, TimeoutError) as error:
        return "telegram.unreachable", {"why": type(error.__cause__ or error).__name__}
    except TelegramError as error:
        return "telegram.odd", {"why": type(error).__name__}
    finally:
        await request.shutdown()
    return "telegram.ok", {"bot": me.username or me.first_name}
