"""fal as this machine sees it: its keys, its address list, our account there, and by fal's clock our own.

Looks only: neither the server's copies nor its state are touched. Sources: fal's queue answers 401 to a key it does not
know and 403 with "User is locked" to an account without balance (docs/fal.md), or its storage alone does;
`GET /v1/account/billing?expand=credits` of the platform API needs an admin key. What a key without rights or an unknown
request is answered is not documented, so any other answer proves nothing and fails nothing.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson

from app.catalog import translate
from app.doctor.finding import CURL_STATUS, EDIT_SETTINGS, SEE_ANSWER, Catalogue, Finding, Level, Wording, finding
from app.domain.alert_rules import CLOCK_SKEW, CLOCK_SKEW_CRITICAL
from app.domain.language import Language, Msgid, msgid
from app.domain.look import Trouble
from app.fal.addresses import parse_ranges
from app.fal.client import Client, FetchFailed, get_capped, host_of, read_copy
from app.fal.endpoints import app_of
from app.fal.keys import parse_jwks
from app.fal.skew import Skew
from app.fal.uploads import FalStorage

BODY_LIMIT = 256 * 1024  # bytes
SECONDS = 4.0  # of one look
NO_SUCH_REQUEST = "00000000-0000-0000-0000-000000000000"
LOW_BALANCE = 5.0  # in the account's currency: a few trainings
LOCKED = (b"locked", b"balance")

SYNC_CLOCK: Msgid = msgid("Let the clock be kept by the network.")
SET_NTP = "sudo timedatectl set-ntp true"
TOP_UP: Msgid = msgid("Top it up: https://fal.ai/dashboard/billing")

WORDS: Catalogue = {
    "fal_keys.ok": Wording(Level.OK, msgid("fal's signing keys: {count}, from {host}")),
    "fal_keys.unreachable": Wording(
        Level.FAIL,
        msgid("fal's signing keys were not fetched: {why}. Without them every delivery gets 503"),
        msgid("Check the way out (DNS, proxy, root certificates) and FAL_JWKS_URLS."),
        CURL_STATUS,
    ),
    "fal_keys.first_failed": Wording(
        Level.WARN,
        msgid("fal's signing keys came from a spare address only; the first: {why}"),
        msgid("See what the first address answers."),
        CURL_STATUS,
    ),
    "clock.ok": Wording(Level.OK, msgid("the clock is right ({seconds} s apart from fal's)")),
    "clock.skewed": Wording(
        Level.WARN,
        msgid("the clock is {seconds} s apart from fal's; at 300 s signatures are refused"),
        SYNC_CLOCK,
        SET_NTP,
    ),
    "clock.wrong": Wording(
        Level.FAIL,
        msgid("the clock is {seconds} s apart from fal's: signatures are refused as old or as of the future"),
        SYNC_CLOCK,
        SET_NTP,
    ),
    "addresses.ok": Wording(Level.OK, msgid("fal's address list: {count}")),
    "addresses.fixed": Wording(Level.OK, msgid("ALLOWED_IPS ({count}) in place of fal's list")),
    "addresses.unreachable": Wording(
        Level.WARN,
        msgid("fal's address list was not fetched ({why}); in force is {copy}"),
        SEE_ANSWER,
        CURL_STATUS,
    ),
    "account.pinned": Wording(Level.OK, msgid("the fal account is pinned")),
    "account.unpinned": Wording(
        Level.WARN,
        msgid("FAL_USER_ID is not set: a signed delivery of any customer of fal is accepted"),
        msgid(
            "Take the account's id from fal's dashboard (or x-fal-webhook-user-id of a delivery of yours) into .env."
        ),
        """aisha-webhook deliveries show REQUEST_ID | grep -o '"x-fal-webhook-user-id":"[^"]*"'""",
    ),
    "fal_key.absent": Wording(
        Level.WARN,
        msgid("FAL_API_KEY is not set: a result that the webhook does not bring cannot be fetched"),
        msgid("Make a key at https://fal.ai/dashboard/keys and write it into .env."),
        EDIT_SETTINGS,
    ),
    "fal_key.taken": Wording(Level.OK, msgid("fal does not refuse FAL_API_KEY")),
    "fal_key.refused": Wording(
        Level.FAIL,
        msgid("fal refuses FAL_API_KEY (401)"),
        msgid("Make a new key at https://fal.ai/dashboard/keys and write it into .env."),
        EDIT_SETTINGS,
    ),
    "fal_key.locked": Wording(
        Level.FAIL,
        msgid("the fal account is locked: its balance is exhausted"),
        TOP_UP,
    ),
    "fal_key.unknown": Wording(
        Level.OK,
        msgid("whether FAL_API_KEY is taken is unknown ({why})"),
    ),
    "balance.ok": Wording(Level.OK, msgid("fal balance: {balance} {currency}")),
    "balance.low": Wording(
        Level.WARN,
        msgid("fal balance: {balance} {currency}, trainings will soon stop"),
        TOP_UP,
    ),
    "balance.empty": Wording(
        Level.FAIL,
        msgid("the fal balance is exhausted: {balance} {currency}"),
        TOP_UP,
    ),
    "balance.unknown": Wording(
        Level.OK,
        msgid(
            "the fal balance is not shown to this key (an admin key is needed); see https://fal.ai/dashboard/billing"
        ),
    ),
}
COPIES: Mapping[str, Msgid] = {
    "built_in": msgid("the built-in copy"),
    "kept": msgid("a copy {days} days old"),
}


async def look_at_keys(
    client: Client, urls: Sequence[str], now: Callable[[], datetime], language: Language
) -> list[Finding]:
    """Fetch the key sets, and measure the clock by the answers; keys from any address will do, the first is best."""
    skew = Skew(now)
    answers = await asyncio.gather(*(_fetch_keys(client, url, skew) for url in urls))
    whys = [f"{host_of(url)}: {answer}" for url, answer in zip(urls, answers, strict=True)]
    good = next((index for index, answer in enumerate(answers) if isinstance(answer, int)), None)
    if good is None:
        found = finding(WORDS, "fal_keys.unreachable", language, why="; ".join(whys), url=urls[0])
    elif good > 0:
        found = finding(WORDS, "fal_keys.first_failed", language, why=whys[0], url=urls[0])
    else:
        found = finding(WORDS, "fal_keys.ok", language, count=answers[0], host=host_of(urls[0]))
    return [found, *_judge_clock(skew, language)]


async def _fetch_keys(client: Client, url: str, skew: Skew) -> int | str:
    """Return how many usable keys there are, or why there are none."""
    try:
        status, body = await get_capped(
            client, url, BODY_LIMIT, deadline_seconds=SECONDS, on_headers=skew.timing(host_of(url))
        )
    except FetchFailed as failure:
        return failure.why
    if status != HTTPStatus.OK:
        return f"HTTP {status}"
    return len(parse_jwks(body)) or "no usable key"


def _judge_clock(skew: Skew, language: Language) -> list[Finding]:
    offset = skew.offset()
    if offset is None:
        return []
    apart = abs(offset)
    code = "clock.wrong" if apart > CLOCK_SKEW_CRITICAL else "clock.skewed" if apart > CLOCK_SKEW else "clock.ok"
    return [finding(WORDS, code, language, seconds=round(apart.total_seconds()))]


async def look_at_addresses(
    client: Client, url: str, *, copy: Path, fixed: Sequence[str], now: datetime, language: Language
) -> list[Finding]:
    """Fetch fal's address list; without it tell how old the copy is that stays in force. `fixed` is ALLOWED_IPS."""
    if fixed:
        return [finding(WORDS, "addresses.fixed", language, count=len(fixed))]
    status, body, why = await _get(client, url, SECONDS)
    networks = parse_ranges(_object(body).get("webhook_ip_ranges"))
    if status == HTTPStatus.OK and networks:
        return [finding(WORDS, "addresses.ok", language, count=len(networks))]
    kept = await _word_copy(copy, now, language)
    return [finding(WORDS, "addresses.unreachable", language, why=why, copy=kept, url=url)]


async def _word_copy(copy: Path, now: datetime, language: Language) -> str:
    try:
        kept = await read_copy(copy, BODY_LIMIT)
    except (OSError, ValueError):
        kept = None
    if kept is None:
        return translate(COPIES["built_in"], language)
    return translate(COPIES["kept"], language).format(days=max((now - kept[0]).days, 0))


async def look_at_account(
    client: Client,
    *,
    queue_url: str,
    endpoint: str,
    api_url: str,
    storage_url: str,
    key: str | None,
    user_id: str | None,
    language: Language,
) -> list[Finding]:
    """Ask fal for a request that `endpoint` does not have, for where to upload, and for the balance. Costs nothing."""
    found = [finding(WORDS, "account.unpinned" if user_id is None else "account.pinned", language)]
    if key is None:
        return [*found, finding(WORDS, "fal_key.absent", language)]
    headers = {"Authorization": f"Key {key}"}
    url = f"{queue_url}/{app_of(endpoint)}/requests/{NO_SUCH_REQUEST}/status"
    status, body, why = await _get(client, url, SECONDS / 2, headers)
    code = _judge_key(status, body)
    if code == "fal_key.taken" and await _is_locked(FalStorage(storage_url, key, client)):
        code = "fal_key.locked"
    found.append(finding(WORDS, code, language, why=why))
    if code in ("fal_key.refused", "fal_key.locked"):
        return found
    status, body, _ = await _get(client, f"{api_url}/v1/account/billing?expand=credits", SECONDS / 2, headers)
    return [*found, _judge_balance(status, body, language)]


async def _is_locked(storage: FalStorage) -> bool:
    """Tell whether fal refuses an upload for our account; nothing is uploaded."""
    try:
        async with asyncio.timeout(SECONDS / 2):
            return await storage.refusal() == Trouble.ACCOUNT_LOCKED
    except TimeoutError:
        return False


def _judge_key(status: int, body: bytes) -> str:
    if status == HTTPStatus.UNAUTHORIZED:
        return "fal_key.refused"
    if status == HTTPStatus.FORBIDDEN and any(word in body.lower() for word in LOCKED):
        return "fal_key.locked"
    return (
        "fal_key.taken" if status in (HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NOT_FOUND) else "fal_key.unknown"
    )


def _judge_balance(status: int, body: bytes, language: Language) -> Finding:
    told = _object(body).get("credits") if status == HTTPStatus.OK else None
    left = told if isinstance(told, dict) else {}
    balance = left.get("current_balance")
    if not isinstance(balance, int | float):
        return finding(WORDS, "balance.unknown", language)
    code = "balance.empty" if balance <= 0 else "balance.low" if balance < LOW_BALANCE else "balance.ok"
    return finding(WORDS, code, language, balance=f"{balance:.2f}", currency=str(left.get("currency", ""))[:10])


async def _get(
    client: Client, url: str, seconds: float, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes, str]:
    """Return status, body, and `HTTP <status>`; without an answer 0, nothing, and the reason."""
    try:
        status, body = await get_capped(client, url, BODY_LIMIT, headers, seconds)
    except FetchFailed as failure:
        return 0, b"", failure.why
    return status, body, f"HTTP {status}"


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
