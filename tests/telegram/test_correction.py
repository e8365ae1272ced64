"""A correction says what is true, and that the message before was wrong."""

import pytest

from app.domain.notification import Cause, Owner, OwnerMessage, Topic
from app.telegram.catalogs import Catalogs
from app.telegram.wording import word

WORDS = Catalogs("ru")


def note(topic: Topic, cause: Cause | None, language: str) -> OwnerMessage:
    return OwnerMessage("0b5e3b9c", "Лето", "request-1", topic, Owner("owner-1", 42, language), cause)


@pytest.mark.parametrize("language", ["ru", "kk", "en"])
@pytest.mark.parametrize(
    ("cause", "topic"), [(None, Topic.READY), (Cause.NO_FACE, Topic.FAILED), (Cause.UNKNOWN, Topic.FAILED)]
)
def test_a_correction_is_the_right_message_with_an_apology(cause: Cause | None, topic: Topic, language: str) -> None:
    """Headline, advice and buttons are those of the message that should have come; one paragraph says sorry."""
    right, corrected = word(note(topic, cause, language), WORDS), word(note(Topic.CORRECTION, cause, language), WORDS)
    sorry = WORDS.of(language).gettext("correction.text")
    headline, text = right.plain.split("\n\n")
    assert corrected.plain == f"{headline}\n\n{sorry}\n\n{text}"
    assert corrected.html.startswith(f"<b>{headline}</b>\n\n{sorry}")
    assert corrected.keyboard == right.keyboard
