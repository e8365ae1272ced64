"""One row of a rehearsal: what would become of it, in words that can be counted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from app.domain.message import Message
from app.domain.notification import Notification, Owner, Topic, read_notification
from app.domain.training import Training

Word = Callable[[Notification], Message]
_SHOWN = ("status", "lora_url", "config_url", "finetune_id")


@dataclass(frozen=True, slots=True)
class RehearsedMessage:
    """A message that would be owed, as its owner would read it (`text` is None where it cannot be worded)."""

    topic: str
    state: str
    chat_id: int | None
    language: str
    text: str | None


@dataclass(frozen=True, slots=True)
class RehearsedRow:
    """What would become of one row. `code` and `word` are its line in the summary (docs/history.md).

    `asks` is what would have to be asked first: `result` of fal, whose answer decides (nothing is foretold then), or
    `artifact` of fal's CDN (foretold as if it were there). `changes` are the avatar's fields, (before, after).
    """

    id: int
    request_id: str
    state: tuple[str, str]
    reason: tuple[str | None, str | None]
    code: str
    word: str
    asks: str | None = None
    avatar_id: str | None = None
    changes: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    messages: list[RehearsedMessage] = field(default_factory=list)
    told_already: bool = False


def rehearsed(row: Mapping[str, Any], after: tuple[str, str | None], code: str, word: str, **more: Any) -> RehearsedRow:
    """Describe a row by how it stood and what it would be, (state, reason); `more` are fields of RehearsedRow."""
    name = row.get("fal_request_id") or row["request_id"]
    return RehearsedRow(row["id"], name, (row["state"], after[0]), (row["reason"], after[1]), code, word, **more)


def left(row: Mapping[str, Any]) -> RehearsedRow:
    """Describe a row that the act would leave as it is."""
    return rehearsed(row, (row["state"], row["reason"]), "left", row["state"])


def ignored(row: Mapping[str, Any]) -> RehearsedRow:
    """Describe a row that would be closed."""
    return rehearsed(row, ("ignored", row["reason"]), "ignored", row["state"])


def sent(row: Mapping[str, Any], fate: tuple[str, str], word: Word) -> RehearsedRow:
    """Describe a message that would be due, by what its claim would make of it."""
    state, reason = fate
    if state != "pending":
        return rehearsed(row, (state, reason), "stays", reason)
    return rehearsed(row, ("sent", None), "goes_out", row["kind"], messages=[read_message(row, word)])


def line_of(
    before: str, after: Mapping[str, Any], changes: Mapping[str, tuple[str | None, str | None]], asks: str | None
) -> tuple[str, str]:
    """Name what would become of a delivery: (code, word)."""
    if asks in ("result", "bug"):
        return ("asks_fal", "result") if asks == "result" else ("fails", "bug")
    match after["state"]:
        case "done" if "status" in changes:
            return "becomes", changes["status"][1] or "?"
        case "done":
            return "unchanged", after["reason"] or "done"
        case "dead":
            return ("stays" if before == "dead" else "becomes"), f"dead: {after['reason']}"
        case _:
            return "waits", after["reason"] or "pending"


def changes_of(before: Training | None, after: Training | None) -> dict[str, tuple[str | None, str | None]]:
    """Name the fields of an avatar that would change."""
    if before is None or after is None:
        return {}
    old, new = _fields(before), _fields(after)
    return {name: (old[name], new[name]) for name in _SHOWN if old[name] != new[name]}


def _fields(training: Training) -> dict[str, str | None]:
    held = {one.name: getattr(training.artifacts, one.name) for one in fields(training.artifacts)}
    return {"status": training.spelling.lower(), **held}


def read_message(row: Mapping[str, Any], word: Word) -> RehearsedMessage:
    """Word a message of the outbox as its owner would read it."""
    try:
        notification = read_notification(
            subject=row["avatar_id"],
            name=row["avatar_name"],
            request_id=row["request_id"],
            topic=Topic(row["kind"]),
            owner=Owner(row["owner_id"], row["chat_id"], row["language"], row["timezone"] or ""),
            cause=row["cause"],
            trainer=row["trainer"],
        )
        text = word(notification).plain
    except (ValueError, KeyError):  # a newer version's
        text = None
    return RehearsedMessage(row["kind"], row["state"], row["chat_id"], row["language"], text)


def identity(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Name what there is one message of, for ever."""
    return row["avatar_id"], row["request_id"], row["kind"]
