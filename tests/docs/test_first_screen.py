"""The first screens: README is short and shows what the demo prints; the greeting leads to pages that exist."""

import re

import pytest

from app.catalog import translate, translate_all
from app.cli.demo.scenes import SCENES
from app.domain.language import Language
from app.server.banner import WORDS
from app.telegram.catalogs import Catalogs
from tests.docs.cast import cast, strayed
from tests.docs.project import ROOT, page

LONGEST = 180  # lines
LANGUAGES = [("README.md", "en"), ("README.ru.md", "ru")]

both = pytest.mark.parametrize(("readme", "language"), LANGUAGES)


@both
def test_the_readme_is_short(readme: str, language: str) -> None:
    """What goes beyond three screens has a page of its own."""
    del language
    assert len(page(readme).splitlines()) <= LONGEST


@both
def test_the_cast_is_of_the_demo_s_scenes(readme: str, language: Language) -> None:
    """Each scene has the number and title that the demo gives it, and what an owner reads there is our wording."""
    titles = {f"{number}. {translate(scene.title, language)}" for number, scene in enumerate(SCENES, 1)}
    shown = {line for line in cast(readme) if re.match(r"\d+\. ", line)}
    assert shown
    assert shown <= titles
    assert f"{len(SCENES)} " in cast(readme)[-1]
    told = [line.removeprefix("│").strip() for line in cast(readme) if line.startswith("│")]
    said = Catalogs(language).of(language)
    label = said.gettext("label").format(name="Айша" if language == "ru" else "Aisha")
    title = said.gettext("ready.title").format(label=label)
    assert told[0] == title
    text = page(f"app/locales/{language}/LC_MESSAGES/messages.po")
    assert [line for line in told[1:] if line.strip("[]") not in text] == []


def test_what_is_cut_is_told_from_what_is_wrong() -> None:
    """A line that the demo does not print, or prints earlier, is named."""
    lines = cast("README.md")
    assert strayed("README.md", "\n".join(lines)) == []
    assert strayed("README.md", "\n".join(lines[:-1])) == lines[-1:]
    assert strayed("README.md", "\n".join([*lines[1:], lines[0]])) != []


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_greeting_leads_to_a_section(language: Language) -> None:
    """A page that the greeting names exists, and has the section; the Russian one is Russian."""
    named = re.findall(
        r"\((docs/[\w.-]+\.md), [^«“]*[«“]([^»”]+)[»”]\)", " ".join(translate_all(WORDS, language).values())
    )
    assert named
    for name, section in named:
        assert (ROOT / name).is_file()
        assert name.endswith(".ru.md") == (language == "ru")
        assert re.search(rf"^#+ (?:\d+\. )?{section}$", page(name), re.MULTILINE), section
