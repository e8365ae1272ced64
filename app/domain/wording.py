"""How findings are worded: one entry per code, in the two languages that an operator reads."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from app.domain.finding import Finding, Level

Language = Literal["ru", "en"]
Words = tuple[str, str]  # Russian, English

EDIT_SETTINGS = "${{EDITOR:-nano}} .env"  # the command to every remedy that says what to write there


@dataclass(frozen=True, slots=True)
class Wording:
    """What a finding of one code says; `{name}` is filled in from the facts of the finding."""

    level: Level
    text: Words
    remedy: Words = ("", "")
    command: str = ""
    fixable: bool = False


Catalogue = Mapping[str, Wording]


def pick(words: Words, language: Language) -> str:
    """Return the half of `words` that is in `language`."""
    return words[1 if language == "en" else 0]


def finding(catalogue: Catalogue, code: str, language: Language, **facts: object) -> Finding:
    """Word the finding `code`. In the command each fact is quoted for the shell: a path may hold anything.

    Raises KeyError for a code or a fact that is not there.
    """
    wording = catalogue[code]
    quoted = {name: shlex.quote(str(fact)) for name, fact in facts.items()}
    return Finding(
        code=code,
        level=wording.level,
        text=pick(wording.text, language).format(**facts),
        remedy=pick(wording.remedy, language).format(**facts),
        command=wording.command.format(**quoted),
        fixable=wording.fixable,
    )
