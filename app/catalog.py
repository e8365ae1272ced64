"""Catalogues of words: `locales/<language>/LC_MESSAGES/<domain>.po`, compiled in memory.

There is no .mo on disk that could be older than its .po. A catalogue is read when the first of its texts is asked for.
"""

from collections.abc import Mapping
from functools import cache
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path

from app.domain.language import Language, Msgid

LOCALES = Path(__file__).parent / "locales"
OWNER, OPERATOR = "messages", "operator"  # domains, in the sense of gettext
UNREADABLE = (OSError, MemoryError, ImportError)  # an environment without our packages lacks Babel, too


@cache
def load_catalog(domain: str, language: str) -> GNUTranslations:
    """Read one catalogue. Raises OSError where there is none."""
    return _compile(domain, language)


def translate(words: Msgid, language: Language) -> str:
    """Say a text of the operator's in a language of theirs: in English where the catalogue cannot be read."""
    if language == "en" or not words:
        return words
    try:
        return load_catalog(OPERATOR, language).gettext(words)
    except UNREADABLE:  # the text may be about that
        return words


def translate_all(words: Mapping[str, Msgid], language: Language) -> dict[str, str]:
    """Say each text of a table, under the same keys, without keeping the catalogue: a server greets but once."""
    if language == "en":
        return dict(words)
    try:
        catalogue = _compile(OPERATOR, language)
    except UNREADABLE:
        return dict(words)
    return {key: catalogue.gettext(text) if text else text for key, text in words.items()}


def _compile(domain: str, language: str) -> GNUTranslations:
    from babel.messages.mofile import write_mo  # noqa: PLC0415  who speaks English to an English operator needs none
    from babel.messages.pofile import read_po  # noqa: PLC0415  as above

    compiled = BytesIO()
    with (LOCALES / language / "LC_MESSAGES" / f"{domain}.po").open("rb") as source:
        write_mo(compiled, read_po(source))
    compiled.seek(0)
    return GNUTranslations(compiled)
