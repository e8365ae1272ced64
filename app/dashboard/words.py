"""The words of the pages, by language, from app/locales/*/LC_MESSAGES/dashboard.po."""

from functools import cache
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALES = Path(__file__).parents[1] / "locales"
LANGUAGES = ("ru", "en")


@cache
def words_of(language: str) -> GNUTranslations:
    """Compile the words of one language in memory."""
    compiled = BytesIO()
    with (LOCALES / language / "LC_MESSAGES" / "dashboard.po").open("rb") as source:
        write_mo(compiled, read_po(source))
    compiled.seek(0)
    return GNUTranslations(compiled)


def say(language: str, key: str, **facts: object) -> str:
    """Word a key; an unknown one, such as the state of a newer version beside us, stands for itself."""
    text = words_of(language).gettext(key)
    if text == key:
        return key.rpartition(".")[2]
    return text.format(**facts) if facts else text
