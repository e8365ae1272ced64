"""The pictures of docs/dashboard.md: taken of the pages in Chromium; UPDATE_PICTURES=1 takes them anew."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import take_picture
from tests.docs.project import ROOT, page
from tests.e2e.dashboard.conftest import OpenTab, seeded
from tests.e2e.serving import Served

PICTURES = ROOT / "docs/dashboard"
UPDATE = os.environ.get("UPDATE_PICTURES") == "1"  # noqa: TID251  a setting of the tests
DESKTOP, PHONE = {"width": 1180, "height": 760}, {"width": 390, "height": 760}
SHOTS = {
    "now": ("", DESKTOP, "light", "en"),
    "deliveries": ("/deliveries?q=state:dead", DESKTOP, "light", "en"),
    "delivery": ("/deliveries/5", DESKTOP, "light", "en"),
    "rehearsal": ("/deliveries/act?operation=ignore&q=state:dead", DESKTOP, "light", "en"),
    "charts": ("/charts?period=6h", DESKTOP, "dark", "en"),
    "phone": ("", PHONE, "dark", "ru"),
}
LIMIT = 80_000  # bytes of one picture


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with seeded(tmp_path_factory.mktemp("pictures"), odd="the photos show two people") as running:
        yield running


@pytest.mark.parametrize("name", SHOTS)
def test_a_page_makes_a_picture(calm: Served, open_tab: OpenTab, tmp_path: Path, name: str) -> None:
    """Each page fits a picture of less than 80 kB."""
    path, size, theme, language = SHOTS[name]
    tab = open_tab(calm, viewport=size)
    tab.login()
    tab.prefer("theme", theme)
    tab.prefer("language", language)
    tab.go(f"/dashboard{path}")
    shot = take_picture(tab.cdp)
    ((PICTURES if UPDATE else tmp_path) / f"{name}.webp").write_bytes(shot)
    assert 4_000 < len(shot) < LIMIT


def test_the_page_shows_every_picture() -> None:
    """docs/dashboard.md has each picture once, with words for those who cannot see it."""
    text = page("docs/dashboard.md")
    assert {shot.stem for shot in PICTURES.glob("*.webp")} == set(SHOTS)
    for name in SHOTS:
        assert text.count(f"](dashboard/{name}.webp)") == 1, name
