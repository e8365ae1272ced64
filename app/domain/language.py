"""The two languages that an operator reads, and the mark of the texts that stand in both."""

from typing import Literal, NewType

Language = Literal["ru", "en"]
Msgid = NewType("Msgid", str)  # an English text; the Russian one stands in locales/ru/LC_MESSAGES/operator.po


def msgid(english: str) -> Msgid:
    """Mark a text of the operator's for the catalogue: `make words` looks for this name and one literal string."""
    return Msgid(english)
