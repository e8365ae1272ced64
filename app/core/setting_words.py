"""What the operator reads when a setting is wrong; a value is never part of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.catalog import translate
from app.core.text import one_line
from app.domain.language import Language, Msgid, msgid

ENVIRONMENT = msgid("environment")
NOT_SET = msgid("default")
LINE_OF = msgid("{file} line {line}")
FILE_OF = msgid("file {file}; {place}")
UNREADABLE = msgid("the file cannot be read")
WHOLE = msgid("{name} ({place}): {wrong}. Write: {remedy}")
_NUMBER, _RANGE, _LENGTH = msgid("not a whole number"), msgid("out of range"), msgid("too short or too long")
# By the type of pydantic's error; what our own checks find carries its sentence.
BY_TYPE = {
    "int_parsing": _NUMBER,
    "int_from_float": _NUMBER,
    "int_parsing_size": _RANGE,
    "float_parsing": msgid("not a number"),
    "finite_number": _RANGE,
    "greater_than_equal": _RANGE,
    "less_than_equal": _RANGE,
    "string_too_short": _LENGTH,
    "string_too_long": _LENGTH,
    "too_short": msgid("the list is empty"),
    "bool_parsing": msgid("neither true nor false"),
    "literal_error": msgid("no such choice"),
}
MISFIT = msgid("the value does not fit")


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """A text of the catalogue; its places are filled with `facts`, which may be words themselves."""

    text: Msgid
    facts: Mapping[str, object] = field(default_factory=dict)

    def say(self, language: Language) -> str:
        """Say it in the operator's language, in one line."""
        text = translate(self.text, language)
        facts = {
            name: fact.say(language) if isinstance(fact, Words) else one_line(str(fact))
            for name, fact in self.facts.items()
        }
        return text.format(**facts) if facts else text


def verbatim(text: str) -> Words:
    """Make words of what reads the same in every language, such as a command."""
    return Words(Msgid("{it}"), {"it": text})


def finding(name: str, place: Words, wrong: Msgid, remedy: Words) -> Words:
    """Say what is wrong with one setting: its name as the operator wrote it, where, why, what to write instead."""
    return Words(WHOLE, {"name": name, "place": place, "wrong": Words(wrong), "remedy": remedy})
