"""Setting values in the text of an env file: lines of other names, comments and the order stay as they are. Pure."""

import re
from collections.abc import Mapping, Sequence

_PLAIN = re.compile(r"[^\s'\"#$\\`]+")  # what every reader of such files reads alike without quotes


class NotWritable(ValueError):
    """A value that no quoting lets every reader of env files read alike."""


def with_values(text: str, values: Mapping[str, str], spellings: Mapping[str, Sequence[str]]) -> str:
    """Return `text` with each of `values` set once.

    `spellings` are the names that a setting may stand under, such as an alias or a pointer to a file: the first line
    of any of them is replaced where it stands, further ones go. An empty value takes the lines away. What is not there
    is appended. Raises NotWritable.
    """
    lines = text.splitlines()
    for name, value in values.items():
        names = "|".join(map(re.escape, (name, *spellings.get(name, ()))))
        assigned = re.compile(rf"\s*(?:export\s+)?(?:{names})\s*=", re.IGNORECASE)
        at = [index for index, line in enumerate(lines) if assigned.match(line)]
        new = [f"{name}={quoted(value)}"] if value else []
        place = at[0] if at else len(lines)
        kept = [line for index, line in enumerate(lines) if index not in at]
        lines = [*kept[:place], *new, *kept[place:]]
    return "".join(f"{line}\n" for line in lines)


def quoted(value: str) -> str:
    """Spell a value so that python-dotenv and systemd read the same. Raises NotWritable."""
    if _PLAIN.fullmatch(value):
        return value
    if "'" in value or "\\" in value or not value.isprintable() or "${" in value:
        raise NotWritable
    return f"'{value}'"
