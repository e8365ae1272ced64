"""Catalogues of words: `locales/<language>/LC_MESSAGES/<domain>.po`, compiled in memory by the standard library alone.

There is no .mo on disk that could be older than its .po. A catalogue is read when the first of its texts is asked for.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from gettext import GNUTranslations
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from struct import pack

from app.domain.language import Language, Msgid

LOCALES = Path(__file__).parent / "locales"
OWNER, OPERATOR = "messages", "operator"  # domains, in the sense of gettext
_MAGIC = 0x950412DE  # a .mo file of GNU gettext, in this machine's order of bytes


@cache
def load_catalog(domain: str, language: str) -> GNUTranslations:
    """Read one catalogue. Raises OSError where there is none."""
    return GNUTranslations(_compile(translated(language, domain)))


def translated(language: str, domain: str) -> dict[str, str]:
    """Read what every msgid says, that of the header being empty. Raises OSError where there is no such catalogue."""
    path = LOCALES / language / "LC_MESSAGES" / f"{domain}.po"
    return dict(read_po(path.read_text(encoding="utf-8")))


def translate(words: Msgid, language: Language) -> str:
    """Say a text of the operator's in a language of theirs: in English where the catalogue cannot be read."""
    if language == "en" or not words:
        return words
    try:
        return load_catalog(OPERATOR, language).gettext(words)
    except (OSError, MemoryError):  # the text may be about that
        return words


def translate_all(words: Mapping[str, Msgid], language: Language) -> dict[str, str]:
    """Say each text of a table, under the same keys, without keeping the catalogue: a server greets but once."""
    try:
        said = {} if language == "en" else translated(language, OPERATOR)
    except (OSError, MemoryError):
        said = {}
    return {key: said.get(text) or text for key, text in words.items()}


def read_po(text: str) -> Iterator[tuple[str, str]]:
    r"""List what each msgid says; plural forms are joined by NUL, as .mo files have them. Comments are left out.

    >>> list(read_po('# A note.\nmsgid "a \\"b\\""\nmsgstr ""\n"one, "\n"two"\n'))
    [('a "b"', 'one, two')]
    """
    for block in text.split("\n\n"):
        ids: list[str] = []
        said: list[str] = []
        for line in block.splitlines():
            if line.startswith("#") or not line:
                continue
            keyword, _, rest = line.partition('"')
            if keyword:
                parts = ids if keyword.startswith("msgid") else said
                parts.append("")
            parts[-1] += json.loads(f'"{rest}')
        if ids:
            yield "\0".join(ids), "\0".join(said)


def _compile(entries: dict[str, str]) -> BytesIO:
    """Write the .mo file: a header of seven numbers, lengths and places of all texts, the texts."""
    texts = [text.encode() for text in (*entries, *entries.values())]
    table = 7 * 4
    start = table + 8 * len(texts)
    places = accumulate((len(text) + 1 for text in texts), initial=start)
    head = pack("=7I", _MAGIC, 0, len(entries), table, table + 8 * len(entries), 0, start)
    spans = b"".join(pack("=2I", len(text), place) for text, place in zip(texts, places, strict=False))
    return BytesIO(head + spans + b"".join(text + b"\0" for text in texts))
