"""One event, one line: JSON for the files, plain words for the console."""

import re
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any

import orjson

from app.core.text import one_line, quiet_json

Event = MutableMapping[str, Any]

_COLOURS = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[1;31m"}
_RESET = "\x1b[0m"
_PLAIN = re.compile(r"[!#-&(-<>-\[\]-~]+")  # what is bare and needs no escape: ASCII without blanks, quotes, = and \
_BARE = re.compile(r"[^\s\"'=\\]+\Z")
_FIRST = ("ts", "level", "event", "logger")


def json_line(event: Event) -> str:
    """Render as one JSON object; control characters are written as escapes, so parsing gives them back."""
    ordered = {name: event[name] for name in _FIRST if name in event} | dict(event)
    try:
        text = orjson.dumps(ordered, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a lone surrogate
        text = orjson.dumps(_encodable(ordered), option=orjson.OPT_NON_STR_KEYS).decode()
    return quiet_json(text)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(name): _encodable(item) for name, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list) else value


class ConsoleLine:
    """Renders `ts level event key=value [logger]`; *colour* only where a person's terminal reads it."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def __call__(self, event: Event) -> str:
        """Render as one line; of a traceback only its last line; the files hold the whole of it."""
        level = str(event.get("level", "info"))
        parts = [str(event.get("ts", "")), f"{level:<8}", one_line(str(event.get("event", "")))]
        for name, value in event.items():
            if name in _FIRST:
                continue
            if name == "exception":
                parts.append(f"exception={_value(_last_words(str(value)))}")
            else:
                parts.append(f"{_label(name)}={_value(value)}")
        parts.append(f"[{one_line(str(event.get('logger', '')))}]")
        line = " ".join(parts)
        start = _COLOURS.get(level, "") if self._colour else ""
        return f"{start}{line}{_RESET}" if start else line


def _last_words(traceback: str) -> str:
    told = [line for line in traceback.splitlines() if any(map(str.isalnum, line))]
    return told[-1].strip(" |+-") if told else ""


@lru_cache(maxsize=1024)
def _label(name: object) -> str:
    return one_line(str(name))


def _value(value: object) -> str:
    kind = type(value)
    if kind is int or kind is float:
        return str(value)
    if isinstance(value, str):
        if _PLAIN.fullmatch(value):
            return value
        return one_line(value) if _BARE.match(value) else '"' + one_line(value).replace('"', '\\"') + '"'
    return one_line(str(value))
