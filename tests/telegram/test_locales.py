import string
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from app.domain.alert import Condition
from app.domain.errors import SettingsInvalid
from app.domain.notification import Cause
from app.telegram.catalogs import CATALOG, LOCALES, Catalogs, choose_language, load_catalogs

LANGUAGES = ("en", "kk", "ru")
MSGIDS = {
    "ready.title",
    "ready.title.unnamed",
    "ready.text",
    "ready.generate",
    "gallery",
    "failed.title",
    "failed.title.unnamed",
    *(f"failed.{cause}" for cause in Cause),
    "correction.text",
    "test.title",
    "test.text",
    "resolved.title",
    "resolved.text",
    *(f"alert.{condition}.{part}" for condition in Condition for part in ("title", "text")),
}
OPERATORS = ("alert.", "resolved.", "test.")
SILENT = f"alert.{Condition.KEYS_MISSING}.text"  # nothing can be measured of what is not there


def expected_placeholders(msgid: str) -> set[str]:
    if msgid in {"ready.title", "failed.title"}:
        return {"name"}
    return {"detail"} if msgid.startswith("alert.") and msgid.endswith(".text") and msgid != SILENT else set()


def read(language: str) -> Catalog:
    with (LOCALES / language / CATALOG).open("rb") as source:
        return read_po(source, abort_invalid=True)


def placeholders(text: object) -> set[str | None]:
    return {field for _, field, _, _ in string.Formatter().parse(str(text)) if field is not None}


def test_the_three_languages_are_there() -> None:
    """ru, kk and en have words, and nothing else lies in locales/."""
    assert tuple(sorted(load_catalogs())) == LANGUAGES
    assert {path.name for path in Path(LOCALES).iterdir()} == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_msgid_has_words(language: str) -> None:
    """A catalog holds exactly the msgids that wording.py asks for, each translated, none fuzzy or obsolete."""
    catalog = read(language)
    assert {message.id for message in catalog if message.id} == MSGIDS
    assert [message.id for message in catalog if not message.string] == []
    assert [message.id for message in catalog if message.id and message.fuzzy] == []
    assert not catalog.obsolete


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_are_equal_in_every_language(language: str) -> None:
    """{name} stands in the titles with a name, {detail} in what alerts say, neither anywhere else, in any language."""
    for message in read(language):
        if message.id:
            assert placeholders(message.string) == expected_placeholders(str(message.id)), message.id


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_are_compiled_in_memory(language: str) -> None:
    """What the .po says is what an owner reads: no .mo on disk is needed."""
    words = Catalogs("ru").of(language)
    assert {msgid: words.gettext(msgid) for msgid in MSGIDS} == {m.id: m.string for m in read(language) if m.id}
    assert not list(LOCALES.rglob("*.mo"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_wording_promises_no_money(language: str) -> None:
    """Owners read nothing about refunds, payment or the operator: this server cannot keep such a promise."""
    words = " ".join(
        str(message.string).lower() for message in read(language) if not str(message.id).startswith(OPERATORS)
    )
    for promise in (
        "refund",
        "money",
        "operator",
        "support",
        "верн",
        "деньг",
        "оператор",
        "поддержк",
        "ақша",
        "қайтар",
    ):
        assert promise not in words


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("ru", "ru"),
        ("RU", "ru"),
        ("kk-KZ", "kk"),
        ("kk_Cyrl_KZ", "kk"),
        ("en-us", "en"),
        (" en ", "en"),
        ("pt-br", "kk"),
        ("", "kk"),
        ("-", "kk"),
        ("русский", "kk"),
        ("\x00", "kk"),
    ],
)
def test_language_of_an_owner(tag: str, language: str) -> None:
    """An IETF tag loses subtags until words are found; whoever speaks none of ours gets the default language."""
    assert Catalogs("kk").language(tag) == language


def test_lookup_drops_subtags_one_by_one() -> None:
    """pt-br falls back to pt before it falls back to nothing."""
    assert choose_language("pt-br", {"pt-br", "pt"}) == "pt-br"
    assert choose_language("pt-br", {"pt"}) == "pt"
    assert choose_language("pt-br", {"ru"}) is None


@pytest.mark.parametrize("tag", ["de", "", "klingon"])
def test_default_language_without_words_refuses_the_start(tag: str) -> None:
    """A DEFAULT_LANGUAGE that nobody wrote words for is a wrong setting, and the refusal names the choices."""
    with pytest.raises(SettingsInvalid, match=r"DEFAULT_LANGUAGE.*en, kk, ru"):
        Catalogs(tag)
