r"""Names that people chose, made fit for one line of a message: no link, no mention, nothing that turns the line.

Facts of Unicode: UAX #9 (isolates), UAX #29 (grapheme clusters), UTS #51 (flags made of tags). What Telegram makes a
link of without being asked: docs/messages.md.
"""

import re
from html import escape

import regex

NAME_LIMIT = 64  # characters shown of an avatar's name
ISOLATE, END_ISOLATE = "\u2068", "\u2069"  # the direction of what stands between them is its own
LEFT_TO_RIGHT = "\u200e"
WORD_JOINER = "\u2060"  # has no width and no direction, and no link, mention or card number goes across it

_PLAIN = re.compile(r"[A-Za-zА-Яа-яЁёӘәҒғҚқҢңӨөҰұҮүҺһІі0-9]+(?: [A-Za-zА-Яа-яЁёӘәҒғҚқҢңӨөҰұҮүҺһІі0-9]+)*")
_SPACES = regex.compile(r"[\p{Cc}\p{Z}\u2800]+")  # controls, line ends, odd spaces, the empty Braille cell
# Marks that are not seen. Joiners stay, which Persian and families of emoji need; so do tags where they make a flag.
_UNSEEN = regex.compile(
    r"(\U0001F3F4[\U000E0020-\U000E007E]{1,16}\U000E007F)"
    r"|[[\p{Cf}\p{Cs}\p{Co}\u034F\u115F\u1160\u17B4\u17B5\u3164\uFFA0]--[\u200C\u200D]]",
    regex.V1,
)
_JOINERS = regex.compile(r"[\u200C\u200D]{2,}")
_SEEN = regex.compile(r"[^\p{Default_Ignorable_Code_Point}\p{Z}]")
_CLUSTER = regex.compile(r"\X")
_AT_ENDS = " \u200c\u200d"

_LINKING = re.compile(r"[@#$/:+.]|\d{7}|\d[\d -]{5}")
_OPENS = re.compile(r"([@#$/:+])(?=\S)")  # mentions, tags, commands, schemes, telephones
_DOT = re.compile(r"(?<=\S)\.(?=\S)")  # between the labels of a domain
_DIGITS = re.compile(r"\d[\d -]{5,}\d")  # cards and telephones
_THREE = re.compile(r"(...)(?=.)")


def shown_name(name: str, limit: int = NAME_LIMIT) -> str:
    r"""Make any text fit for one line of a message: no controls, no bidi marks, at most `limit` code points.

    Cut before escaping, and between grapheme clusters, so that neither an `&amp;` nor a flag is ever cut in two. Empty
    where nothing of it can be seen.

    >>> shown_name("  Лето\n\u202e2026 ")
    'Лето 2026'
    """
    if len(name) <= limit and _PLAIN.fullmatch(name):  # nearly every name
        return name
    line = _JOINERS.sub(lambda joiners: joiners[0][0], _UNSEEN.sub(r"\1", _SPACES.sub(" ", name)))
    line = _SPACES.sub(" ", line).strip(_AT_ENDS)
    return _cut(line, limit) if _SEEN.search(line) else ""


def isolated(shown: str) -> str:
    """Put a shown name between isolates, and keep Telegram from making links, mentions or numbers of it."""
    return f"{ISOLATE}{_inert(shown)}{END_ISOLATE}"


def escaped(text: str) -> str:
    """Write a text as the Bot API's HTML has it."""
    return escape(text, quote=False)


def bare(text: str) -> str:
    """Take out what `isolated` put in: the text as it is seen."""
    return re.sub(f"[{ISOLATE}{END_ISOLATE}{LEFT_TO_RIGHT}{WORD_JOINER}]", "", text)


def _cut(line: str, limit: int) -> str:
    if len(line) <= limit:
        return line
    kept = 0
    for cluster in _CLUSTER.finditer(line):
        if cluster.end() > limit - 1:
            break
        kept = cluster.end()
    return (line[:kept].rstrip(_AT_ENDS) or line[: limit - 1]) + "…"


def _inert(shown: str) -> str:
    if not _LINKING.search(shown):
        return shown
    line = _DOT.sub(f"{WORD_JOINER}.", _OPENS.sub(rf"\1{WORD_JOINER}", shown))
    return _DIGITS.sub(lambda digits: _THREE.sub(rf"\1{WORD_JOINER}", digits[0]), line)
