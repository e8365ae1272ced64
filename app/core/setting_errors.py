"""What the operator reads when a setting is wrong; a value is never part of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.catalog import translate
from app.core.text import one_line
from app.domain.language import Language, Msgid, msgid

WRONG: dict[str, Msgid] = {
    "unknown": msgid("unknown name, looks like a typo"),
    "no_equals": msgid("no '=' sign"),
    "unreadable_line": msgid("the line cannot be read as NAME=value"),
    "unreadable_file": msgid("the file cannot be read"),
    "not_utf8": msgid("the file is not UTF-8"),
    "not_a_file": msgid("this is not a regular file"),
    "too_long_file": msgid("the file is too large for a secret"),
    "empty_file": msgid("the file is empty"),
    "world_readable": msgid("the secret's file is readable by everyone"),
    "twice": msgid("both the value and its file are given"),
    "quoted": msgid("the quotes became part of the value"),
    "blank": msgid("nothing but spaces"),
    "control": msgid("an unprintable character in the value"),
    "secret_junk": msgid("a space or a quote inside the secret"),
    "token_short": msgid("a token shorter than 32 characters"),
    "int_parsing": msgid("not a whole number"),
    "float_parsing": msgid("not a number"),
    "bool_parsing": msgid("neither true nor false"),
    "literal_error": msgid("no such choice"),
    "range": msgid("out of range"),
    "length": msgid("too short or too long"),
    "url": msgid("not a URL"),
    "url_plain": msgid("http:// is accepted for this same machine only"),
    "url_password": msgid("a user name or password inside the URL"),
    "url_query": msgid("a stray '?' or '#' in the address"),
    "url_public": msgid("not an address that anybody's phone can open"),
    "endpoint": msgid("not an endpoint of fal's"),
    "origin": msgid("an origin has no path"),
    "host": msgid("neither a host name nor an IP"),
    "host_pattern": msgid("neither a host name nor *.name"),
    "artifact_host": msgid("not a name on the internet"),
    "mark": msgid("neither a host nor the beginning of an id, from 4 characters"),
    "network": msgid("neither an IP address nor a network"),
    "network_bits": msgid("an address inside a network instead of its start"),
    "trusts_all": msgid("trusting everybody lets anyone forge their IP"),
    "list_json": msgid("a broken JSON list"),
    "list_empty": msgid("the list is empty"),
    "database_scheme": msgid("no such database is supported"),
    "database_memory": msgid("a database in memory loses what was accepted"),
    "file_name": msgid("a file name without a folder is needed"),
    "same_file": msgid("both logs in one file"),
    "no_home": msgid("the home folder is unknown"),
    "proxy": msgid("not the address of a proxy"),
    "proxy_scheme": msgid("no such proxy is supported"),
    "ca_file": msgid("there are no PEM certificates in the file"),
    "ca_folder": msgid("there are no root certificates in the folder"),
    "zero": msgid("zero is not a chat"),
    "misfit": msgid("the value does not fit"),
}
_RANGE = ("int_parsing_size", "finite_number", "greater_than", "greater_than_equal", "less_than", "less_than_equal")
_LENGTH = ("string_too_short", "string_too_long", "too_short", "too_long")
PYDANTIC = {"int_from_float": "int_parsing", **dict.fromkeys(_RANGE, "range"), **dict.fromkeys(_LENGTH, "length")}
ENVIRONMENT = msgid("environment")
NOT_SET = msgid("default")
LINE_OF = msgid("{file} line {line}")
FILE_OF = msgid("file {file}; {place}")
WHOLE = msgid("{name} ({place}): {wrong}. Write: {remedy}")


@dataclass(frozen=True, slots=True, eq=False)
class Remedy:
    """What a right value looks like; `facts` fill the places of the text."""

    text: Msgid
    facts: Mapping[str, object] = field(default_factory=dict)

    def say(self, language: Language) -> str:
        """Say it in the operator's language."""
        words = translate(self.text, language)
        return words.format(**self.facts) if self.facts else words


def verbatim(text: str) -> Remedy:
    """Make a remedy of what reads the same in every language, such as a command."""
    return Remedy(Msgid("{it}"), {"it": text})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was found: the environment, a line of `.env`, and perhaps a secret's file named there."""

    line: int | None = None  # None: the environment; 0: the whole file; -1: the default
    env_file: str = ".env"
    secret_file: str | None = None

    def words(self, language: Language) -> str:
        """Name the place, such as `.env line 4` or `file /run/x; environment`."""
        if self.line is None:
            place = translate(ENVIRONMENT, language)
        elif self.line < 0:
            place = translate(NOT_SET, language)
        elif self.line == 0:
            place = one_line(self.env_file)
        else:
            place = translate(LINE_OF, language).format(file=one_line(self.env_file), line=self.line)
        if self.secret_file is None:
            return place
        return translate(FILE_OF, language).format(file=one_line(self.secret_file), place=place)


DEFAULT = Origin(-1)


@dataclass(frozen=True, slots=True)
class SettingError:
    """One thing that is wrong: the name as the operator wrote it, where, the code from WRONG, what to write instead."""

    name: str
    origin: Origin
    code: str
    remedy: Remedy

    def line(self, language: Language) -> str:
        """Word it in one line without the value."""
        code = PYDANTIC.get(self.code, self.code)
        return translate(WHOLE, language).format(
            name=one_line(self.name),
            place=self.origin.words(language),
            wrong=translate(WRONG.get(code, WRONG["misfit"]), language),
            remedy=self.remedy.say(language),
        )
