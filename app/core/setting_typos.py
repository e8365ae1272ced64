"""Tells a misspelt name of a setting in a shared `.env` from the key of another program."""

from collections.abc import Collection
from difflib import SequenceMatcher, get_close_matches

_SHORT = 3  # letters: APP, BFL, IDS beside API, FAL, IPS are other words, not misspellings
_NEAR = 0.8
_SYNONYMS = {"URI": "URL"}


def nearest(name: str, known: Collection[str]) -> str | None:
    """Find the known name that *name* was meant to be; None where it is another program's key.

    >>> nearest("TELEGRAM_TOKN", ["TELEGRAM_TOKEN"]), nearest("API_PROT", ["API_PORT"])
    ('TELEGRAM_TOKEN', 'API_PORT')
    >>> nearest("APP_PORT", ["API_PORT"]), nearest("TEST_DATABASE_URL", ["DATABASE_URL"])
    (None, None)
    """
    given = [_SYNONYMS.get(word, word) for word in name.upper().replace("-", "_").split("_") if word]
    for candidate in get_close_matches("_".join(given), known, n=5, cutoff=_NEAR):
        words = candidate.split("_")
        if "".join(words) == "".join(given):
            return candidate
        if len(words) == len(given) and all(map(_slip, given, words)):
            return candidate
    return None


def _slip(given: str, meant: str) -> bool:
    if given == meant or sorted(given) == sorted(meant):
        return True
    if len(given) <= _SHORT and len(meant) <= _SHORT:
        return given in meant or meant in given
    return meant.startswith(given) or SequenceMatcher(None, given, meant).ratio() >= _NEAR - 0.1
