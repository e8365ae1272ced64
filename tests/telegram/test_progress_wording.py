from datetime import UTC, datetime, timedelta

import pytest

from app.domain.notification import Owner
from app.domain.progress import ProgressLine, ProgressMessage, ProgressState, spell_usual
from app.telegram.catalogs import Catalogs
from app.telegram.names import bare
from app.telegram.progress_wording import word_progress

WORDS = Catalogs("ru")
LANGUAGES = ("ru", "kk", "en")


def line(kind: ProgressLine, language: str = "ru", *, zone: str = "UTC+5", name: str = "Айша", **more: object) -> str:
    said = ProgressState(kind, **more)  # type: ignore[arg-type]  # fields of a test
    progress = ProgressMessage(name, Owner("owner-1", 42, language, zone), said)
    message = word_progress(progress, WORDS)
    assert message.html == message.plain
    assert message.is_silent
    assert message.keyboard == ()
    return bare(message.plain)


@pytest.mark.parametrize(
    ("minutes", "language", "words"),
    [
        (3, "ru", "около 5 минут."),
        (21, "ru", "около 20 минут."),
        (89, "ru", "около 90 минут."),
        (90, "ru", "около 2 часов."),
        (21 * 60, "ru", "около 21 часа."),
        (24 * 60, "ru", "около 24 часов."),
        (90, "kk", "шамамен 2 сағат кетеді."),
        (25, "kk", "шамамен 25 минут кетеді."),
        (60 * 21, "en", "about 21 hours."),
        (5, "en", "about 5 minutes."),
    ],
)
def test_the_usual_time_in_plain_words(minutes: int, language: str, words: str) -> None:
    """Minutes in fives, hours from 90 minutes on, in the plural that the number takes."""
    assert line(ProgressLine.AT_WORK, language, usual=timedelta(minutes=minutes)).endswith(words)


def test_a_usual_time_is_never_nothing() -> None:
    """The shortest time that is told is five minutes."""
    assert spell_usual(timedelta(0)) == ("minutes", 5)


def test_a_percentage_is_a_bar_below() -> None:
    """The second line is the bar and the number, without words."""
    words = line(ProgressLine.AT_WORK, percent=47)
    assert words.split("\n")[1:] == ["▓▓▓▓░░░░░░ 47%"]


@pytest.mark.parametrize(
    ("zone", "language", "end"),
    [
        ("UTC+5", "ru", "здесь: 17:20 (время Астаны)."),
        ("nowhere", "kk", "осы жерде: 17:20 (Астана уақыты)."),
        ("UTC+5", "en", "here: 17:20 (Astana time)."),
        ("UTC+3", "ru", "здесь: 15:20."),
        ("UTC-5:30", "en", "here: 06:50."),
    ],
)
def test_a_promised_moment_is_the_owners(zone: str, language: str, end: str) -> None:
    """HH:mm by the owner's clock; a zone that nobody chose is named."""
    until = datetime(2026, 11, 29, 12, 20, tzinfo=UTC)
    assert line(ProgressLine.LATE, language, zone=zone, until=until).endswith(end)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_names_the_avatar(language: str) -> None:
    """No two lines read alike, and each names the avatar, or calls it the owner's where it has no name."""
    lines = [line(kind, language) for kind in ProgressLine]
    assert len(set(lines)) == len(lines)
    assert all("Айша" in words for words in lines)
    unnamed = WORDS.of(language).gettext("label.unnamed")
    assert all(f" {unnamed}: " in line(kind, language, name="") for kind in ProgressLine)
