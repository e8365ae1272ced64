"""The pictures of docs/messages.md: taken in Chromium from the same words that owners get.

`UPDATE_PICTURES=1` takes them anew (needs Debian's chromium, fonts-noto-color-emoji and fonts-noto-core).
"""

import json
import os
from pathlib import Path

import pytest

from tests.browser import chromium, take_picture
from tests.docs import phone
from tests.docs.project import page

PICTURES = Path("docs/messages")
INDEX = PICTURES / "index.json"  # which page each picture was taken of
UPDATE = os.environ.get("UPDATE_PICTURES") == "1"  # noqa: TID251  a setting of the tests
LIMIT = 40_000  # bytes of one picture
TAKE = "the words have changed: UPDATE_PICTURES=1 .venv/bin/python -m pytest -n 0 tests/docs/test_messages_page.py"


@pytest.fixture(scope="module", autouse=True)
def _take() -> None:
    """Take the pictures of all pages anew where that is wanted, with a browser that reaches no network."""
    if not UPDATE:
        return
    with chromium() as browser:
        context = browser.new_context(viewport={"width": phone.WIDTH, "height": 100}, offline=True)
        tab = context.new_page()
        session = context.new_cdp_session(tab)
        for name, html in phone.pages():
            tab.set_content(html)
            whole = tab.evaluate("document.documentElement.getBoundingClientRect().height")
            clip = {"x": 0, "y": 0, "width": phone.WIDTH, "height": int(whole), "scale": 1}
            shot = take_picture(session, captureBeyondViewport=True, clip=clip)
            (PICTURES / f"{name}.webp").write_bytes(shot)
    index = {name: phone.fingerprint(html) for name, html in phone.pages()}
    INDEX.write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")
    for stray in PICTURES.glob("*.webp"):
        if stray.stem not in index:
            stray.unlink()


def size(picture: Path) -> tuple[int, int]:
    """Width and height of a WebP in the extended format (RFC 9649, 2.7)."""
    head = picture.read_bytes()[:30]
    assert (head[:4], head[8:16]) == (b"RIFF", b"WEBPVP8X")
    return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1


def test_every_message_has_a_picture() -> None:
    """Each shows a message in three languages, and is small and as wide as three phones."""
    for name, _ in phone.pages():
        picture = PICTURES / f"{name}.webp"
        width, height = size(picture)
        assert width == phone.WIDTH
        assert 60 < height < 600
        assert picture.stat().st_size < LIMIT


def test_the_pictures_show_the_words_that_are_sent() -> None:
    """Each picture was taken of the page that the present words make; none is missing and none is left over."""
    index = json.loads(INDEX.read_text())
    assert index == {name: phone.fingerprint(html) for name, html in phone.pages()}, TAKE
    assert {picture.stem for picture in PICTURES.glob("*.webp")} == set(index)


def test_the_page_shows_every_picture() -> None:
    """docs/messages.md has each picture once, with words for those who cannot see it."""
    text = page("docs/messages.md")
    for name, _ in phone.pages():
        assert text.count(f"](messages/{name}.webp)") == 1, name
        assert f"![{name}" in text
