"""A page's fenced blocks, as a reader meets them: what is typed, what must be there for it, what is answered."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"(?:^<!-- (needs|runs): ([^\n]*?) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IN_ENGLISH = "DEFAULT_LANGUAGE=en "  # the one thing that the English README types and the Russian does not


@dataclass(frozen=True, slots=True)
class Block:
    """Commands of one block; `mark` says what they need or when they run, `answers` the lines shown for them."""

    text: str
    mark: str
    answers: tuple[str, ...]


def fences(page: str) -> Iterator[tuple[str, str, str]]:
    """Mark, language and text of every fenced block."""
    for found in FENCE.finditer((ROOT / page).read_text(encoding="utf-8")):
        kind, mark, language, text = found.groups()
        yield f"{kind}: {mark}" if kind else "", language, text


def blocks(page: str) -> list[Block]:
    """Read the blocks of commands of a page; a block of JSON is the answer to the commands before it."""
    found: list[Block] = []
    for mark, language, text in fences(page):
        if language == "bash":
            found.append(Block(text, mark, ()))
        elif language == "json" and found:
            last = found.pop()
            found.append(Block(last.text, last.mark, (*last.answers, *text.splitlines())))
    return found
