"""The words of the pages, by language, from app/locales/*/LC_MESSAGES/dashboard.po."""

from gettext import GNUTranslations

from app.catalog import load_catalog

DOMAIN = "dashboard"
LANGUAGES = ("ru", "en")


def words_of(language: str) -> GNUTranslations:
    """Return the words of one language, compiled at their first use."""
    return load_catalog(DOMAIN, language)


def say(language: str, key: str, **facts: object) -> str:
    """Word a key; an unknown one, such as the state of a newer version beside us, stands for itself."""
    text = words_of(language).gettext(key)
    if text == key:
        return key.rpartition(".")[2]
    return text.format(**facts) if facts else text
