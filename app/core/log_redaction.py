"""Takes secrets out of whatever is about to be logged."""

import json
import re
from collections.abc import Iterable, Iterator, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST = 4  # letters: masking a shorter string would damage most lines and protect nothing
LONGEST = 16384  # characters of one value; a whole request body does not belong in a log
DEPTH = 6

_SHAPES = re.compile(
    r"\d{6,12}(?::|%3[Aa])[A-Za-z0-9_-]{30,}"  # a Telegram token, also inside a URL
    r"|(?P<url>://[^/?#\s:@]*:)[^/?#\s]*(?=@)"  # the password of a URL
    r"|(?P<query>[?&](?:ssl)?password=)[^&\s'\"]+"  # libpq takes it there too
    r"|(?P<header>\b[Aa]uthorization['\"]?\s*[:=,]\s*b?['\"]?)(?:\w+\s+)?[^\s'\",]+"
    r"|(?P<scheme>\b(?:Key|Bearer|Basic)\s+)(?:(?=[^\s'\",]*[\d:])[^\s'\",]{6,}|[^\s'\",]{16,})"
)
_WHOLE = re.compile(r"(?P<scheme>(?:Key|Bearer|Basic)\s+)\S+")  # the value of a header and nothing else
_HINTS = (":", "Key", "Bearer", "Basic", "uthorization", "password=", "%3")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)")
_SECRET_NAME = re.compile(
    r"(?:^|[_-])(?:authorization|token|secret|password|passwd|api[_-]?key|cookie)$", re.IGNORECASE
)
_HEX = re.compile(r"%[0-9A-F]{2}")  # some write %2F as %2f
_KEPT = frozenset({"ts", "level", "logger"})  # set by this package, so without secrets

_registered: dict[str, None] = {}
_pattern: re.Pattern[str] | None = None


def register_secrets(secrets: Iterable[str]) -> None:
    """Mask each of *secrets* from now on, also where it is percent-encoded or escaped as in a repr or in JSON."""
    global _pattern  # noqa: PLW0603 the set of secrets belongs to the whole process
    for secret in secrets:
        for form in (secret, *_encoded(secret), repr(secret)[1:-1], json.dumps(secret)[1:-1]):
            if len(form) >= SHORTEST:
                _registered[form] = None
    longest_first = sorted(_registered, key=len, reverse=True)
    _pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _encoded(secret: str) -> Iterator[str]:
    for form in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield form
        yield _HEX.sub(lambda octet: octet[0].lower(), form)


def forget_secrets() -> None:
    """Mask only what has the shape of a secret again."""
    global _pattern  # noqa: PLW0603 as above
    _registered.clear()
    _pattern = None


def redact(text: str) -> str:
    """Replace every registered secret and everything shaped like one by `***`.

    >>> redact("postgresql://aisha:hunter2@db/aisha"), redact("Authorization: Key 1a2b:3c4d")
    ('postgresql://aisha:***@db/aisha', 'Authorization: ***')
    """
    if _pattern is not None:
        text = _pattern.sub(MASK, text)
    if not _has_hint(text):
        return text
    return _SHAPES.sub(_mask, _WHOLE.sub(_mask, text) if _WHOLE.fullmatch(text) else text)


def _has_hint(text: str) -> bool:
    for hint in _HINTS:  # noqa: SIM110  a generator costs more than all the rest
        if hint in text:
            return True
    return False


def _mask(match: re.Match[str]) -> str:
    return (match[match.lastgroup] if match.lastgroup else "") + MASK


def plain(value: object, depth: int = DEPTH) -> Any:
    """Turn *value* into JSON's own types without secrets; never raises, whatever its repr does."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else str(value)
    if depth and isinstance(value, dict):
        return {name: _field(name, item, depth) for name, item in ((_text(key), item) for key, item in value.items())}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth - 1) for item in value]
    return _text(value)


def _field(name: str, value: object, depth: int) -> Any:
    if value is not None and not isinstance(value, bool | int | float) and _is_secret_name(name):
        return MASK
    return plain(value, depth - 1)


@lru_cache(maxsize=1024)
def _is_secret_name(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _text(value: object) -> str:
    if type(value) is str:
        text = value
    elif isinstance(value, str):
        text = str.__str__(value)  # a StrEnum is logged as its value
    else:
        try:
            text = repr(value) if isinstance(value, bytes | bytearray | dict | list | tuple) else str(value)
        except Exception:  # noqa: BLE001 a broken __str__ of a foreign object must not lose the event
            text = f"<{type(value).__name__} without text>"
    text = redact(text)
    if len(text) <= LONGEST:
        return text
    head, tail = LONGEST * 3 // 4, LONGEST // 4  # the end of a traceback holds the cause
    return f"{text[:head]} … {len(text) - LONGEST} characters left out … {text[-tail:]}"


def redact_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Make every value of *event* plain and free of secrets (a structlog processor; the last before rendering)."""
    for name, value in event.items():
        kind = type(value)
        if name in _KEPT or kind is float or kind is bool or value is None:
            continue
        if kind is not str or _is_secret_name(name) or not _is_clean(value):
            event[name] = _field(name, value, DEPTH)
    return event


def _is_clean(text: str) -> bool:
    """Tell at a glance that `redact` would leave a text as it is; nearly all are ids, words of ours and moments."""
    if len(text) > LONGEST or (_pattern is not None and _pattern.search(text) is not None):
        return False
    return _MOMENT.fullmatch(text) is not None or not _has_hint(text)
