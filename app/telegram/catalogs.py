"""The words of each language, and which language an owner gets."""

from gettext import GNUTranslations

from app.catalog import LOCALES, OWNER, load_catalog
from app.domain.errors import SettingsInvalid

CATALOG = f"LC_MESSAGES/{OWNER}.po"


class Catalogs:
    """Every catalog, and the language for those who speak none of them.

    Raises SettingsInvalid when there are no words in `default_language` (an IETF tag such as `ru` or `ru-KZ`).
    """

    def __init__(self, default_language: str) -> None:
        self._catalogs = load_catalogs()
        default = choose_language(default_language, self._catalogs)
        if default is None:
            known = ", ".join(sorted(self._catalogs))
            raise SettingsInvalid([f"DEFAULT_LANGUAGE: there are no words in this language; choose one of {known}"])
        self._default = default

    def language(self, tag: str) -> str:
        """Return the language of ours that is nearest to an IETF tag, or the default one."""
        return choose_language(tag, self._catalogs) or self._default

    def of(self, tag: str) -> GNUTranslations:
        """Return the catalog for whoever speaks `tag`."""
        return self._catalogs[self.language(tag)]


def choose_language(tag: str, known: dict[str, GNUTranslations] | set[str]) -> str | None:
    """Drop subtags from the right until a known language is left (RFC 4647 lookup).

    >>> choose_language("PT_br", {"pt", "ru"}), choose_language("kk-Cyrl-KZ", {"kk"}), choose_language("", {"ru"})
    ('pt', 'kk', None)
    """
    subtags = tag.strip().lower().replace("_", "-").split("-")
    while subtags:
        if (language := "-".join(subtags)) in known:
            return language
        subtags.pop()
    return None


def load_catalogs() -> dict[str, GNUTranslations]:
    """Load what owners read, by language."""
    languages = (path.parents[1].name for path in sorted(LOCALES.glob(f"*/{CATALOG}")))
    return {language.lower(): load_catalog(OWNER, language) for language in languages}
