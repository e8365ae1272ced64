"""What an owner reads about a generation, in three languages."""

from itertools import product
from typing import Any

import pytest

from app.domain.images import ALBUM_LIMIT, OwedImages
from app.domain.notification import Cause, Owner, OwnerMessage, Topic
from app.telegram.catalogs import Catalogs
from app.telegram.names import bare
from app.telegram.wording import word
from app.twins.markup import visible_text
from tests.telegram.naughty_names import PIECES

CATALOGS = Catalogs("ru")
LANGUAGES = ("ru", "kk", "en")
A = "https://v3.fal.media/files/a.jpg"
CAPTION_LIMIT = 1024


def say(language: str = "en", support_url: str | None = None, **changes: Any) -> Any:
    values: dict[str, Any] = {"name": "a cat", "topic": Topic.IMAGES, "images": OwedImages((A,)), "cause": None}
    values |= changes
    owner = Owner("o1", 42, language)
    message = OwnerMessage("g1", values["name"], "r1", values["topic"], owner, values["cause"], images=values["images"])
    return word(message, CATALOGS, support_url)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_caption_says_what_was_asked_for(language: str) -> None:
    """One image: its title, and the owner's own words in quotes, escaped."""
    message = say(language, name="a <cat> & a dog")
    assert message.photos is not None
    assert message.photos.urls == (A,)
    assert "&lt;cat&gt; &amp; a dog" in message.photos.html
    assert "a <cat> & a dog" in bare(message.photos.plain)
    assert visible_text(message.photos.html) == message.photos.plain


@pytest.mark.parametrize("language", LANGUAGES)
def test_withheld_images_are_counted(language: str) -> None:
    """The owner hears that two are missing, and why."""
    assert "2" in say(language, images=OwedImages((A,), withheld=2)).photos.plain
    assert "2" not in say(language).photos.plain


def test_albums_follow_each_other() -> None:
    """The first ten, then the rest, whose caption says how many are above."""
    urls = tuple(f"{A}?{number}" for number in range(13))
    first, second = say(images=OwedImages(urls)), say(images=OwedImages(urls, shown=10))
    assert first.photos.urls == urls[:ALBUM_LIMIT]
    assert second.photos.urls == urls[ALBUM_LIMIT:]
    assert "10 of 13" in second.photos.plain
    assert "a cat" not in bare(second.photos.plain)


def test_links_stand_for_all_that_are_left() -> None:
    """The text beside an album holds a link to each image that is not shown yet, and no other."""
    urls = tuple(f'{A}?{number}&x="' for number in range(13))
    message = say(images=OwedImages(urls, shown=10))
    assert message.html.count("<a href=") == 3
    assert "?10&amp;x=&quot;" in message.html
    assert all((url in message.plain) is (number >= 10) for number, url in enumerate(urls))
    assert visible_text(message.html).endswith("11 · 12 · 13")


def test_in_doubt_no_image_is_offered_again() -> None:
    """A send without an answer may have shown them: only links follow."""
    message = say(images=OwedImages((A,), is_in_doubt=True))
    assert message.photos is None
    assert A in message.html


def test_every_failure_has_words() -> None:
    """Each cause is told in words about images, never as its key."""
    for language, cause in product(LANGUAGES, [None, *Cause]):
        message = say(language, topic=Topic.IMAGES_FAILED, images=None, cause=cause)
        assert "images_failed" not in message.plain, (language, cause)
        assert visible_text(message.html) == message.plain, (language, cause)
        assert message.keyboard == (), (language, cause)


def test_support_is_offered_where_there_is_some() -> None:
    """A paragraph and a button, below failures alone."""
    url = "https://t.me/help"
    failed = say(topic=Topic.IMAGES_FAILED, images=None, support_url=url)
    assert [button[1] for row in failed.keyboard for button in row] == [url]
    assert say(support_url=url).keyboard == ()


def test_any_prompt_fits_a_caption() -> None:
    """Whatever was typed, the caption is HTML that Telegram reads, of no more characters than it takes."""
    for name in [*PIECES, "x" * 5000, "🏴󠁧󠁢󠁥󠁮󠁧󠁿" * 500]:
        photos = say("ru", name=name, images=OwedImages((A,), withheld=9)).photos
        assert len(visible_text(photos.html)) <= CAPTION_LIMIT, name
        assert visible_text(photos.html) == photos.plain, name
        assert photos.plain.count("\n") <= 3, name
