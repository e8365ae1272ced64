"""A finding of the doctor: code, level, text, remedy and command; and how a code is turned into words."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.catalog import translate
from app.domain.language import Language, Msgid, msgid

# Commands and remedies that several looks give.
EDIT_SETTINGS = "${{EDITOR:-nano}} .env"
CURL_STATUS = "curl -sS -o /dev/null -w '%{{http_code}}\\n' {url}"
WHO_LISTENS = "sudo ss -ltnp 'sport = :{port}'"
AS_ITS_OWNER = "sudo -u {sudo_name} {python} -m app.cli doctor"
NOTHING = Msgid("")
ASK_ITS_OWNER: Msgid = msgid("Ask as {account}.")
SEE_ANSWER: Msgid = msgid("See what the address answers.")


class Level(StrEnum):
    """How bad a finding is. `warn`: works now, but may fail later or needs a look; `fail`: does not work now."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding, worded in the operator's language.

    `code` is stable and names the check and the cause (`chain.issuer_missing`). `remedy` is one sentence and `command`
    what to run for it; both are empty where nothing is to be done. `fixable` tells that `--fix` would do it safely.
    """

    code: str
    level: Level
    text: str
    remedy: str = ""
    command: str = ""
    fixable: bool = False


@dataclass(frozen=True, slots=True)
class Wording:
    """What a finding of one code says; `{name}` is filled in from the facts of the finding."""

    level: Level
    text: Msgid
    remedy: Msgid = NOTHING
    command: str = ""
    fixable: bool = False


Catalogue = Mapping[str, Wording]


def reason_of(error: Exception) -> str:
    """Say in a few words why a connection or a look-up failed."""
    return getattr(error, "strerror", None) or getattr(error, "reason", None) or type(error).__name__


def finding(catalogue: Catalogue, code: str, language: Language, **facts: object) -> Finding:
    """Word the finding `code`. In the command each fact is quoted for the shell: a path may hold anything.

    Raises KeyError for a code or a fact that is not there.
    """
    wording = catalogue[code]
    quoted = {name: shlex.quote(str(fact)) for name, fact in facts.items()}
    return Finding(
        code=code,
        level=wording.level,
        text=translate(wording.text, language).format(**facts),
        remedy=translate(wording.remedy, language).format(**facts),
        command=wording.command.format(**quoted),
        fixable=wording.fixable,
    )
