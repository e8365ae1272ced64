"""Telegram's refusals and failures, in its own words (docs/telegram.md)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from app.twins.faults import Fault, Hang, Instead, Slow


def refusal(code: int, description: str, **parameters: int) -> Instead:
    """Return a Bot API failure; the HTTP status mirrors `code`."""
    body: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
    if parameters:
        body["parameters"] = parameters
    return Instead(code, orjson.dumps(body))


def rate_limited(retry_after: int = 1) -> Instead:
    """429: wait `retry_after` seconds, said in the parameters and in the Retry-After header."""
    said = refusal(429, f"Too Many Requests: retry after {retry_after}", retry_after=retry_after)
    return Instead(said.status, said.body, headers={"retry-after": str(retry_after)})


def migrated(migrate_to_chat_id: int) -> Instead:
    """400: the group became a supergroup with another id."""
    return refusal(
        400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=migrate_to_chat_id
    )


def slow(seconds: float = 5.0) -> Slow:
    """Answer rightly, but `seconds` late."""
    return Slow(seconds)


BLOCKED: Final = refusal(403, "Forbidden: bot was blocked by the user")
DEACTIVATED: Final = refusal(403, "Forbidden: user is deactivated")
CHAT_NOT_FOUND: Final = refusal(400, "Bad Request: chat not found")
CANNOT_PARSE: Final = refusal(400, 'Bad Request: can\'t parse entities: Unsupported start tag "x" at byte offset 0')
UNAUTHORIZED: Final = refusal(401, "Unauthorized")
NOT_FOUND: Final = refusal(404, "Not Found")
SERVER_ERROR: Final = refusal(500, "Internal Server Error")
BAD_GATEWAY: Final = Instead(
    502, b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n</html>\r\n", content_type="text/html"
)
BAD_JSON: Final = Instead(200, b'{"ok":true,"result":')
HANG: Final = Hang()
DELIVERED_THEN_HANG: Final = Hang(effective=True)

FAULTS: Final[Mapping[str, Callable[..., Fault]]] = {
    "rate_limited": rate_limited,
    "migrated": migrated,
    "slow": slow,
    "blocked": lambda: BLOCKED,
    "deactivated": lambda: DEACTIVATED,
    "chat_not_found": lambda: CHAT_NOT_FOUND,
    "cannot_parse": lambda: CANNOT_PARSE,
    "unauthorized": lambda: UNAUTHORIZED,
    "not_found": lambda: NOT_FOUND,
    "server_error": lambda: SERVER_ERROR,
    "bad_gateway": lambda: BAD_GATEWAY,
    "bad_json": lambda: BAD_JSON,
    "hang": lambda: HANG,
    "delivered_then_hang": lambda: DELIVERED_THEN_HANG,
}
"""Every fault by the name that the control endpoint takes; keyword arguments are the function's own."""
