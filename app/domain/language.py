"""The two languages that an operator reads."""

from typing import Literal

Language = Literal["ru", "en"]
Bilingual = tuple[str, str]  # Russian, English


def pick(words: Bilingual, language: Language) -> str:
    """Return the half of `words` that is in `language`."""
    return words[1 if language == "en" else 0]
