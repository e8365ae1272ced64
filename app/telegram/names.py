r"""Names that people chose, made fit for one line of a message: no link, no mention, nothing that turns the line.

Facts of Unicode: UAX #9 (isolates). What Telegram makes a link of without being asked: docs/messages.md.
"""

import re
from html import escape

NAME_LIMIT = 64  # characters shown of an avatar's name
ISOLATE, END_ISOLATE = "\u2068", "\u2069"  # the direction of what stands between them is its own
LEFT_TO_RIGHT = "\u200e"
WORD_JOINER = "\u2060"  # has no width and no direction, and no link, mention or card number goes across it

_PLAIN = re.compile(r"[A-Za-zА-Яа-яЁёӘәҒғҚқҢңӨөҰұҮүҺһІі0-9]+(?: [A-Za-zА-Яа-яЁёӘәҒғҚқҢңӨөҰұҮүҺһІі0-9]+)*")
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
    from app.telegram.odd_names import fit_line  # noqa: PLC0415  few names need it, and it is slow to import

    return fit_line(name, limit)


def isolated(shown: str) -> str:
    """Put a shown name between isolates, and keep Telegram from making links, mentions or numbers of it."""
    return f"{ISOLATE}{_inert(shown)}{END_ISOLATE}"


def escaped(text: str) -> str:
    """Write a text as the Bot API's HTML has it."""
    return escape(text, quote=False)


def bare(text: str) -> str:
    """Take out what `isolated` put in: the text as it is seen."""
    return re.sub(f"[{ISOLATE}{END_ISOLATE}{LEFT_TO_RIGHT}{WORD_JOINER}]", "", text)


def _inert(shown: str) -> str:
    if not _LINKING.search(shown):
        return shown
    line = _DOT.sub(f"{WORD_JOINER}.", _OPENS.sub(rf"\1{WORD_JOINER}", shown))
    return _DIGITS.sub(lambda digits: _THREE.sub(rf"\1{WORD_JOINER}", digits[0]), line)
