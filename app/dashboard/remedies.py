"""Why a row is where it is and what mends it, in words; and commands that can be pasted into any shell."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from app.catalog import translate
from app.core.text import one_line
from app.dashboard.words import say
from app.db.operator_queries import Queue
from app.domain.language import Language
from app.domain.search import Search, spell_search
from app.domain.story_reasons import StoryWait, wait_for
from app.domain.story_words import WORDS
from app.files.command import NAME, command_from_anywhere
from app.telegram.alert_wording import REASONS
from app.telegram.catalogs import Catalogs

UNNAMED = ("decide.other", "decide.job", "wait.again")  # said of a reason that is not known
_COUNT = re.compile(r"\d+ × ([a-z_]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Remedy:
    """Why something waits (`cause`, '' where no reason is on record), what is to be done, and the command to run.

    `is_bad`: it waits for the operator, and nothing goes on by itself.
    """

    cause: str
    todo: str
    command: str
    is_bad: bool = False


@cache
def _called() -> str:
    return command_from_anywhere()


def pasted(command: str) -> str:
    """Write a command so that it works from any folder."""
    if command.startswith(f"{NAME} "):
        return f"{_called()}{command.removeprefix(NAME)}"
    return f"cd {shlex.quote(str(Path.cwd()))} && {command}" if command.endswith(" .env") else command


def meaning(language: Language, reason: str | None) -> str:
    """Say what a reason means, '' where there is none, or a newer version's."""
    if not reason:
        return ""
    if reason in REASONS:
        return Catalogs("ru").of(language).gettext(f"reason.{reason}")
    words = say(language, f"reason.{reason}")
    return "" if words == reason else words


def in_words(language: Language, counts: str) -> str:
    """Say behind each reason of `2 × orphan, 1 × not_json` what it means."""

    def worded(count: "re.Match[str]") -> str:
        words = meaning(language, count[1])
        return f"{count[0]} ({words})" if words else count[0]

    return _COUNT.sub(worded, counts)


def remedy_of(language: Language, queue: Queue, row: Mapping[str, Any]) -> Remedy | None:
    """Say why a row waits and what goes on from there; None where nothing is left to do."""
    wait = wait_for(queue.value, row["state"], row["reason"], row.get("stage"))
    if wait is None:
        return None
    named = {"id": row["id"], "request_id": shlex.quote(row.get("request_id") or "-")}
    reason = row["reason"] or row.get("stage") or "-"
    todo, command = _todo(language, wait, reason), pasted(wait.command.format(**named))
    return Remedy(meaning(language, row["reason"]), todo, command, _is_bad(wait))


def remedy_of_all(language: Language, queue: Queue, search: Search) -> Remedy | None:
    """Say the same of all rows of a search that names a reason; its command is about all of them."""
    if search.reason is None:
        return None
    states = ("dead", "pending") if search.state is None else (search.state,)
    waits = [wait for state in states if (wait := wait_for(queue.value, state, search.reason)) is not None]
    known = [wait for wait in waits if wait.code not in UNNAMED]
    wait = next(iter(known if search.state is None else waits), None)
    cause = meaning(language, search.reason)
    if wait is None:
        return Remedy(cause, "", "") if cause else None
    spelled = shlex.quote(spell_search(search))
    command = wait.command
    verb = next((verb for verb in ("redrive", "ignore") if f" {verb} " in command), None)
    if verb is not None:
        command = f"{NAME} {queue.value} {verb} --filter {spelled} --rehearse"
    elif "{id}" in command or "{request_id}" in command:
        command = f"{NAME} {queue.value} list {spelled}"
    else:
        command = command.format()
    return Remedy(cause, _todo(language, wait, search.reason), pasted(command), _is_bad(wait))


def _is_bad(wait: StoryWait) -> bool:
    return wait.code.startswith("decide.")


def _todo(language: Language, wait: StoryWait, reason: str) -> str:
    return translate(WORDS[wait.code], language).format(id="", reason=one_line(reason))
