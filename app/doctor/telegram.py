"""Whether Telegram accepts the bot's token: one getMe, judged as a send would be."""

import asyncio

from app.doctor.finding import CURL_STATUS, EDIT_SETTINGS, SEE_ANSWER, Catalogue, Finding, Level, Wording, finding
from app.domain.language import Language, msgid
from app.domain.send_outcome import Down, Rejected, SlowDown, TokenRefused, Uncertain, Unreachable
from app.telegram.answers import Answer, Facts, Misparsed, NoAddress, Unreadable
from app.telegram.client import NOT_REACHED, TelegramClient

SECONDS = 4.0

WORDS: Catalogue = {
    "telegram.ok": Wording(Level.OK, msgid("Telegram knows the bot: @{bot}")),
    "telegram.no_token": Wording(
        Level.WARN,
        msgid("TELEGRAM_TOKEN is not set: messages are logged and stay unsent"),
        msgid("Get the token from @BotFather (/mybots)."),
        EDIT_SETTINGS,
    ),
    "telegram.token_refused": Wording(
        Level.FAIL,
        msgid("Telegram refuses TELEGRAM_TOKEN"),
        msgid("Get the valid token from @BotFather (/mybots → API Token), write it into .env and restart the server."),
        "sudo systemctl restart aisha-webhook-api",
    ),
    "telegram.unreachable": Wording(
        Level.FAIL,
        msgid("Telegram is not reached ({why}): messages wait"),
        msgid("Check the way out and TELEGRAM_API_URL; where Telegram is blocked, HTTPS_PROXY is needed."),
        CURL_STATUS,
    ),
    "telegram.odd": Wording(
        Level.WARN,
        msgid("Telegram answered getMe in an unusual way ({why})"),
        SEE_ANSWER,
        CURL_STATUS,
    ),
    "telegram.operator_known": Wording(Level.OK, msgid("the operator's chat is set")),
    "telegram.no_operator": Wording(
        Level.WARN,
        msgid("OPERATOR_CHAT_ID is not set: nobody is told of trouble"),
        msgid("Ask @userinfobot for your chat's id and write it into .env."),
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
    async with TelegramClient(token, api_url, timeout=SECONDS, connections=1) as client:
        try:
            async with asyncio.timeout(SECONDS):
                answer = await client.get_me()
        except TimeoutError:
            answer = Uncertain("no whole answer in time")
    return _judge(answer)


def _judge(answer: Answer) -> tuple[str, dict[str, str]]:
    match answer:
        case Facts(fields) if name := fields.get("username") or fields.get("first_name"):
            return "telegram.ok", {"bot": str(name)}
        case TokenRefused():
            return "telegram.token_refused", {}
        case Down(why) | Uncertain(why) | NoAddress(why):
            return "telegram.unreachable", {"why": why.removeprefix(NOT_REACHED)}
        case Rejected(why) | Unreachable(why) | Misparsed(why) | Unreadable(why):
            return "telegram.odd", {"why": why}
        case SlowDown(seconds):
            return "telegram.odd", {"why": f"429, {seconds:g} s"}
    return "telegram.odd", {"why": type(answer).__name__}
