"""Our account at fal: whether it is pinned, whether its key is taken, and what it has left.

Sources: fal's queue answers 401 to a key it does not know and 403 with "User is locked" to an account without balance
(docs/fal.md); `GET /v1/account/billing?expand=credits` of the platform API needs an admin key. What a key without
rights or an unknown request is answered is not documented, so any other answer proves nothing and alarms nobody.
"""

from http import HTTPStatus
from typing import Any

import httpx2
import orjson

from app.doctor.finding import EDIT_SETTINGS, Catalogue, Finding, Level, Wording, finding
from app.domain.language import Language
from app.fal.api import ENDPOINTS
from app.fal.client import FetchFailed, get_capped

NOBODYS_REQUEST = "00000000-0000-0000-0000-000000000000"
BODY_LIMIT = 64 * 1024  # bytes
SECONDS = 4.0
LOW_BALANCE = 5.0  # in the account's currency: a few trainings
LOCKED = (b"locked", b"balance")

WORDS: Catalogue = {
    "account.pinned": Wording(Level.OK, ("аккаунт fal закреплён", "the fal account is pinned")),
    "account.unpinned": Wording(
        Level.WARN,
        (
            "FAL_USER_ID не задан: принимается подписанная доставка любого клиента fal",
            "FAL_USER_ID is not set: a signed delivery of any customer of fal is accepted",
        ),
        (
            "Возьмите id аккаунта из панели fal (или x-fal-webhook-user-id своей доставки) и впишите в .env.",
            "Take the account's id from fal's dashboard (or x-fal-webhook-user-id of a delivery of yours) into .env.",
        ),
        """aisha-webhook deliveries show REQUEST_ID | grep -o '"x-fal-webhook-user-id":"[^"]*"'""",
    ),
    "fal_key.absent": Wording(
        Level.WARN,
        (
            "FAL_API_KEY не задан: результат, не пришедший в webhook, взять будет нечем",
            "FAL_API_KEY is not set: a result that the webhook does not bring cannot be fetched",
        ),
        (
            "Создайте ключ на https://fal.ai/dashboard/keys и впишите в .env.",
            "Make a key at https://fal.ai/dashboard/keys and write it into .env.",
        ),
        EDIT_SETTINGS,
    ),
    "fal_key.taken": Wording(Level.OK, ("fal не отвергает FAL_API_KEY", "fal does not refuse FAL_API_KEY")),
    "fal_key.refused": Wording(
        Level.FAIL,
        ("fal не принимает FAL_API_KEY (401)", "fal refuses FAL_API_KEY (401)"),
        (
            "Создайте новый ключ на https://fal.ai/dashboard/keys и впишите в .env.",
            "Make a new key at https://fal.ai/dashboard/keys and write it into .env.",
        ),
        EDIT_SETTINGS,
    ),
    "fal_key.locked": Wording(
        Level.FAIL,
        ("аккаунт fal заблокирован: баланс исчерпан", "the fal account is locked: its balance is exhausted"),
        ("Пополните баланс: https://fal.ai/dashboard/billing", "Top it up: https://fal.ai/dashboard/billing"),
    ),
    "fal_key.unknown": Wording(
        Level.OK,
        ("принят ли FAL_API_KEY, неизвестно ({why})", "whether FAL_API_KEY is taken is unknown ({why})"),
    ),
    "balance.ok": Wording(Level.OK, ("баланс fal: {balance} {currency}", "fal balance: {balance} {currency}")),
    "balance.low": Wording(
        Level.WARN,
        (
            "баланс fal: {balance} {currency}, скоро обучения остановятся",
            "fal balance: {balance} {currency}, trainings will soon stop",
        ),
        ("Пополните баланс: https://fal.ai/dashboard/billing", "Top it up: https://fal.ai/dashboard/billing"),
    ),
    "balance.empty": Wording(
        Level.FAIL,
        ("баланс fal исчерпан: {balance} {currency}", "the fal balance is exhausted: {balance} {currency}"),
        ("Пополните баланс: https://fal.ai/dashboard/billing", "Top it up: https://fal.ai/dashboard/billing"),
    ),
    "balance.unknown": Wording(
        Level.OK,
        (
            "баланс fal этому ключу не показывают (нужен ключ admin); смотрите https://fal.ai/dashboard/billing",
            "the fal balance is not shown to this key (an admin key is needed); see https://fal.ai/dashboard/billing",
        ),
    ),
}


async def look_at_account(
    client: httpx2.AsyncClient,
    *,
    queue_url: str,
    api_url: str,
    key: str | None,
    user_id: str | None,
    language: Language,
) -> list[Finding]:
    """Ask fal's queue for a request that nobody has, and the platform API for the balance. Costs nothing."""
    found = [finding(WORDS, "account.unpinned" if user_id is None else "account.pinned", language)]
    if key is None:
        return [*found, finding(WORDS, "fal_key.absent", language)]
    headers = {"Authorization": f"Key {key}"}
    url = f"{queue_url}/{ENDPOINTS[None]}/requests/{NOBODYS_REQUEST}/status"
    status, body = await _get(client, url, headers)
    code = _judge_key(status, body)
    found.append(finding(WORDS, code, language, why=f"HTTP {status}" if status else body.decode()))
    if code in ("fal_key.refused", "fal_key.locked"):
        return found
    status, body = await _get(client, f"{api_url}/v1/account/billing?expand=credits", headers)
    return [*found, _judge_balance(status, body, language)]


async def _get(client: httpx2.AsyncClient, url: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Return status and body; status 0 with the reason as the body when there was no answer."""
    try:
        return await get_capped(client, url, BODY_LIMIT, headers, SECONDS / 2)
    except FetchFailed as failure:
        return 0, failure.why.encode()


def _judge_key(status: int, body: bytes) -> str:
    if status == HTTPStatus.UNAUTHORIZED:
        return "fal_key.refused"
    if status == HTTPStatus.FORBIDDEN and any(word in body.lower() for word in LOCKED):
        return "fal_key.locked"
    return (
        "fal_key.taken" if status in (HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NOT_FOUND) else "fal_key.unknown"
    )


def _judge_balance(status: int, body: bytes, language: Language) -> Finding:
    left = _credits(body) if status == HTTPStatus.OK else {}
    balance = left.get("current_balance")
    if not isinstance(balance, int | float):
        return finding(WORDS, "balance.unknown", language)
    code = "balance.empty" if balance <= 0 else "balance.low" if balance < LOW_BALANCE else "balance.ok"
    return finding(WORDS, code, language, balance=f"{balance:.2f}", currency=str(left.get("currency", ""))[:10])


def _credits(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    found = document.get("credits") if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}
