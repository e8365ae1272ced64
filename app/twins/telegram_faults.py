"""Telegram's refusals and failures, in its own words (docs/telegram.md)."""

from typing import Any, Final

import orjson

from app.twins.faults import Hang, Instead


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


BLOCKED: Final = refusal(403, "Forbidden: bot was blocked by the user")
CHAT_NOT_FOUND: Final = refusal(400, "Bad Request: chat not found")
UNAUTHORIZED: Final = refusal(401, "Unauthorized")
NOT_FOUND: Final = refusal(404, "Not Found")
SERVER_ERROR: Final = refusal(500, "Internal Server Error")
BAD_GATEWAY: Final = Instead(
    502, b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n</html>\r\n", content_type="text/html"
)
BAD_JSON: Final = Instead(200, b'{"ok":true,"result":')
DELIVERED_THEN_HANG: Final = Hang(effective=True)
