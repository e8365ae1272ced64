"""One line of the doctor: what was looked at, how it stands, and the command that mends it."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a finding stands. `warn` works today and will not for ever, `fail` does not work now."""

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
