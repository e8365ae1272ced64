"""What a delivery says: fal's JSON in, `Reading` out. The fields of fal's answers are known here and in `error_types`.

Source: fal webhooks docs and real bodies (docs/fal.md).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from app.domain.errors import PayloadUnreadable
from app.domain.training import Artifacts, Completed, Failed, Reading
from app.fal.error_types import failure

ID_LIMIT = 255  # characters
ANSWER_LIMIT = 64 * 1024  # bytes
DEPTH_LIMIT = 32
CUTS = ((4000, 1000), (400, 50))  # (characters of a string, entries of a list or object), ever tighter until it fits

_BRIEF = 4000  # bytes of JSON in which no string is long enough to be cut
_LONG_NUMBER = re.compile(rb"[\s:,\[]-?[0-9]{19}")  # in an object; may be a piece of a string
_PLAIN_ID = re.compile(f"[!-~]{{1,{ID_LIMIT}}}")
_PLAIN_URL = re.compile(r"https://[A-Za-z0-9.-]+/[!-~]*")
# Linear on any bytes: nothing in it gives back what it took, an open string runs to the end, and a number is only
# looked at from its first character. Strings are matched to be stepped over.
_TOKEN = re.compile(
    rb'"(?:[^"\\]++|\\.?)*+"?|(?<![0-9.eE+-])-?[1-9][0-9]{18,}+(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+', re.DOTALL
)


@dataclass(frozen=True, slots=True)
class FalAnswer:
    """What fal answered a request of ours, as it came: HTTP status, headers with lower-case names, raw body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def read(body: bytes) -> Reading:
    """Understand one delivery.

    Raises PayloadUnreadable: `not_json`, `not_an_object`, `no_request_id`, `unknown_status`. Unknown fields are
    tolerated; of a repeated field the last counts. OK without a usable artifact is `Completed` with empty artifacts.
    """
    return understand(parse_object(body))


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a body as `parse` does. Raises PayloadUnreadable, `not_an_object` for any other JSON."""
    document = parse(body)
    if not isinstance(document, dict):
        raise PayloadUnreadable("not_an_object", "the body is JSON, but not an object")
    return document


def parse(body: bytes) -> Any:
    """Parse strict JSON. Integers beyond 64 bits become their digits as text: orjson would round or refuse them.

    Raises PayloadUnreadable `not_json`.
    """
    try:
        if body.startswith(b"{") and _LONG_NUMBER.search(body) is None:
            return orjson.loads(body)
        # Text is legal in places where a number is not, so strictness is judged with a number.
        orjson.loads(_TOKEN.sub(lambda m: b"0" if _is_huge(m[0]) else m[0], body))
        return orjson.loads(_TOKEN.sub(lambda m: b'"%b"' % m[0] if _is_huge(m[0]) else m[0], body))
    except orjson.JSONDecodeError as error:
        raise PayloadUnreadable("not_json", f"the body is not JSON: {error.msg} at byte {error.pos}") from None


def understand(document: dict[str, Any]) -> Reading:
    """Understand a parsed delivery; raises PayloadUnreadable as `read` does."""
    request_id = _identifier(document.get("request_id"))
    if request_id is None:
        raise PayloadUnreadable("no_request_id", f"request_id is not text of 1 to {ID_LIMIT} printable characters")
    payload = document.get("payload")
    outcome: Completed | Failed
    match document.get("status"):
        case "OK":
            outcome = Completed(artifacts(payload))
        case "ERROR":
            outcome = failure(payload, document.get("error"), document.get("payload_error"))
        case _:
            raise PayloadUnreadable("unknown_status", "status is neither OK nor ERROR")
    return Reading(request_id, _identifier(document.get("gateway_request_id")), outcome, answer(document))


def artifacts(payload: object) -> Artifacts:
    """Collect what is proven to be there: https URLs and a finetune id, from the shapes of all known trainers."""
    if not isinstance(payload, dict):
        return Artifacts()
    return Artifacts(
        lora_url=_url(payload, "diffusers_lora_file") or _url(payload, "lora_file"),
        high_noise_lora_url=_url(payload, "high_noise_lora"),
        config_url=_url(payload, "config_file"),
        finetune_id=_printable(payload.get("finetune_id")),
    )


def answer(document: dict[str, Any]) -> str:
    """Render fal's answer as JSON text that PostgreSQL takes as json and jsonb, at most 64 KiB of UTF-8.

    `detail[].input` (what a person typed or uploaded) is left out, U+0000 replaced, overlong parts replaced by a note.
    """
    if (whole := _as_it_is(document)) is not None:
        return whole
    for text_limit, entry_limit in CUTS:
        text = orjson.dumps(_kept(document, text_limit, entry_limit, DEPTH_LIMIT))
        if len(text) <= ANSWER_LIMIT:
            return text.decode()
    ids = {name: document.get(name) for name in ("request_id", "status")}
    return orjson.dumps({**_kept(ids, ID_LIMIT, len(ids), 1), "note": "too large to be kept here"}).decode()


def _as_it_is(document: dict[str, Any]) -> str | None:
    """Render what surely need not be cut, as most answers; None where that takes a closer look."""
    try:
        dumped = orjson.dumps(document)
    except TypeError:  # a lone surrogate
        return None
    is_small = len(dumped) <= _BRIEF and dumped.count(b",") < CUTS[0][1]
    is_shallow = dumped.count(b"{") + dumped.count(b"[") < DEPTH_LIMIT
    is_clean = b'"detail"' not in dumped and b"\\u0000" not in dumped
    return dumped.decode() if is_small and is_shallow and is_clean else None


def _is_huge(token: bytes) -> bool:
    if token.startswith(b'"') or not token.removeprefix(b"-").isdigit():
        return False
    return len(token) > 21 or not -(2**63) <= int(token) < 2**64  # noqa: PLR2004 int() of very many digits is refused


def _printable(value: object) -> str | None:
    """Pass text that no column, log or URL chokes on."""
    return value if isinstance(value, str) and value.strip() and value.isprintable() else None


def _identifier(value: object) -> str | None:
    if isinstance(value, str) and _PLAIN_ID.fullmatch(value):
        return value
    text = _printable(value)
    return text if text is not None and len(text) <= ID_LIMIT else None


def _url(payload: dict[str, Any], name: str) -> str | None:
    return file_url(payload.get(name))


def file_url(file: object) -> str | None:
    """Return the https URL of one of fal's files, or None where there is none that can be used."""
    if not isinstance(file, dict):
        return None
    stated = file.get("url")
    if isinstance(stated, str) and _PLAIN_URL.fullmatch(stated):
        return stated
    url = _printable(stated)
    if url is None or " " in url or not url.startswith("https://"):
        return None
    try:
        return url if urlsplit(url).hostname else None
    except ValueError:
        return None


def _kept(value: Any, text_limit: int, entry_limit: int, depth: int) -> Any:
    if isinstance(value, str):
        return _kept_text(value, text_limit)
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        return "[deeper levels not kept]"
    if isinstance(value, list):
        kept = [_kept(entry, text_limit, entry_limit, depth - 1) for entry in value[:entry_limit]]
        return kept if len(value) <= entry_limit else [*kept, f"[{len(value) - entry_limit} more not kept]"]
    fields = list(value.items())
    return {
        _kept_text(name, text_limit): _kept(
            _without_input(entry) if name == "detail" else entry, text_limit, entry_limit, depth - 1
        )
        for name, entry in fields[:entry_limit]
    }


def _kept_text(text: str, limit: int) -> str:
    if len(text) > limit:
        return f"[{len(text)} characters not kept]"
    if text.isascii() and "\0" not in text:  # nearly all of them
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _without_input(detail: object) -> object:
    if isinstance(detail, dict):
        return {name: value for name, value in detail.items() if name != "input"}
    return [_without_input(e) if isinstance(e, dict) else e for e in detail] if isinstance(detail, list) else detail
