"""What an operator looks for, in words: `state:dead reason:orphan after:2h contains:"face"`. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

from app.domain.artifact import ArtifactState
from app.domain.delivery import DeliveryState
from app.domain.errors import SearchRefused
from app.domain.job import JobKind, JobOutcome, JobState, Stage
from app.domain.notification import NotificationState, Topic
from app.domain.story_reasons import reasons_to_wait

LONGEST = 500  # characters of a search
_TOKEN = re.compile(r'\s*(?:(?P<name>[A-Za-z_]+):)?(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s"]+))(?=\s|$)')
_AGO = re.compile(r"(\d{1,6})([smhd])")
_AGES = ("1h", "6h", "24h", "7d")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_EVERYWHERE = ("state", "reason", "avatar", "owner", "chat", "request", "kind", "after", "before")


@dataclass(frozen=True, slots=True)
class QueueWords:
    """What may be asked of one queue: its qualifiers, and what those take that take few words."""

    qualifiers: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]


QUEUES = {
    "deliveries": QueueWords(
        (*_EVERYWHERE, "contains"), {"state": tuple(DeliveryState), "kind": tuple(JobKind)}
    ),
    "notifications": QueueWords(_EVERYWHERE, {"state": tuple(NotificationState), "kind": tuple(Topic)}),
    "jobs": QueueWords(
        (*_EVERYWHERE, "stage", "outcome", "artifact"),
        {
            "state": tuple(JobState), "kind": tuple(JobKind), "stage": tuple(Stage), "outcome": tuple(JobOutcome),
            "artifact": tuple(ArtifactState),
        },
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Search:
    """What rows must be like; None: anything. `request` is fal's request id or our id of the row."""

    state: str | None = None
    reason: str | None = None
    avatar: str | None = None
    owner: str | None = None
    chat: int | None = None
    request: str | None = None
    kind: str | None = None
    stage: str | None = None
    outcome: str | None = None
    artifact: str | None = None
    after: datetime | None = None
    before: datetime | None = None
    contains: str | None = None

    def without(self, *names: str) -> "Search":
        """Drop qualifiers."""
        return replace(self, **dict.fromkeys(names))

    def is_empty(self) -> bool:
        """Tell whether every row matches."""
        return self == EVERYTHING


EVERYTHING = Search()


def parse_search(text: str, queue: str, now: datetime) -> Search:
    """Understand a search in one of QUEUES. A word without a qualifier is a request id, or our id.

    Times are UTC: `2026-11-29`, `2026-11-29T12:30`, or so long ago: `90s`, `30m`, `6h`, `7d`. Raises SearchRefused,
    with a better word where one is near.
    """
    if len(text) > LONGEST:
        raise SearchRefused("a search is at most {most} characters long", most=LONGEST)
    found: dict[str, Any] = {}
    for name, value in _tokens(text):
        if name not in QUEUES[queue].qualifiers:
            raise _unknown("qualifier", name, QUEUES[queue].qualifiers)
        if name in found:
            raise SearchRefused("{name}: stands twice", name=name)
        found[name] = _read(name, value, queue, now)
    return Search(**found)


def spell_search(search: Search) -> str:
    """Spell a search so that it reads the same again at any time."""
    return " ".join(f"{name}:{_spell(value)}" for name, value in _given(search))


def suggest(text: str, queue: str) -> list[str]:
    """Offer how the last word of an unfinished search may go on; of reasons those that something waits for."""
    last = text.rpartition(" ")[2]
    name, colon, begun = last.partition(":")
    if not colon:
        return [f"{one}:" for one in QUEUES[queue].qualifiers if one.startswith(name)]
    if name not in QUEUES[queue].qualifiers:
        return []
    words = {"reason": reasons_to_wait(queue), "after": _AGES, "before": _AGES, **QUEUES[queue].words}.get(name, ())
    return [f"{name}:{word}" for word in words if word.startswith(begun)]


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at, end = 0, len(text.rstrip())
    while at < end:
        token = _TOKEN.match(text, at, end)
        if token is None:
            raise SearchRefused("cannot be read from here: {rest}", rest=text[at:end].strip()[:40])
        quoted = token["quoted"]
        value = token["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
        yield (token["name"] or "request").lower(), value
        at = token.end()


def _read(name: str, value: str, queue: str, now: datetime) -> Any:
    if not value:
        raise SearchRefused("{name}: wants a word", name=name)
    if "\0" in value:
        raise SearchRefused("{name}: takes no NUL", name=name)
    if name in ("after", "before"):
        return _moment(name, value, now)
    if name == "chat":
        if not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise SearchRefused("chat: wants Telegram's number of a chat, not {value}", value=value)
        return int(value)
    words = QUEUES[queue].words.get(name)
    if words is not None and value.lower() not in words:
        raise _unknown(name, value, words)
    return value if words is None else value.lower()


def _moment(name: str, value: str, now: datetime) -> datetime:
    if ago := _AGO.fullmatch(value):
        span = timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return now - min(span, now - _EARLIEST)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise SearchRefused(
            "{name}: wants a time such as 2026-11-29T12:30, or 6h for six hours ago", name=name
        ) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return max(moment, _EARLIEST) if moment.year < _LATEST.year else _LATEST


_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def _unknown(what: str, word: str, known: tuple[str, ...]) -> SearchRefused:
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    facts = {"what": what, "word": word, "known": ", ".join(known)}
    if near:
        return SearchRefused("unknown {what} {word}: did you mean {near}? there are: {known}", near=near[0], **facts)
    return SearchRefused("unknown {what} {word}; there are: {known}", **facts)


def _given(search: Search) -> list[tuple[str, Any]]:
    pairs = [(field.name, getattr(search, field.name)) for field in fields(search)]
    return [(name, value) for name, value in pairs if value is not None]


def _spell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    text = str(value)
    if re.fullmatch(r'[^\s"\\]+', text):
        return text
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped}"'
