import string
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from app.domain.alert import Condition
from app.domain.errors import SettingsInvalid
from app.domain.notification import Cause
from app.domain.progress import ProgressLine
from app.domain.trainer import Trainer
from app.telegram.alert_wording import REASONS
from app.telegram.catalogs import CATALOG, LOCALES, Catalogs, choose_language, load_catalogs
from app.telegram.images_wording import IMAGES_CAUSES

LANGUAGES = ("en", "kk", "ru")
DIGEST: dict[str, set[str]] = {
    "title": {"day"},
    "counts": {"ready", "failed"},
    "median": {"wait"},
    "oldest": {"wait"},
    "minutes": {"count"},
    "hours": {"count"},
    "failures": set(),
    "more": {"count"},
}
COUNTED = {"progress.at_work.minutes", "progress.at_work.hours"}
TITLES = {f"{topic}.title" for topic in ("ready", "failed", "account_back")}
LINES = {
    "trouble_ours.text",
    *(f"progress.{line}" for line in ProgressLine if line not in (ProgressLine.TROUBLE_OURS, ProgressLine.AT_WORK)),
}
IMAGES: dict[str, set[str]] = {
    "images.title": set(),
    "images.title.one": set(),
    "images.more": {"shown", "total"},
    "images.withheld": {"n"},
    "images.links": set(),
    "images_failed.title": set(),
    **{f"images_failed.{cause}": set() for cause in IMAGES_CAUSES.values()},
}
MSGIDS = {
    *IMAGES,
    "label",
    "label.unnamed",
    *TITLES,
    *(f"{title}.unnamed" for title in TITLES),
    *(f"ready.type.{trainer}" for trainer in Trainer),
    "ready.text",
    "ready.text.gallery",
    *(f"failed.{cause}" for cause in Cause),
    "account_back.text",
    "correction.text",
    "test.title",
    "test.text",
    "support.line",
    *(f"button.{button}" for button in ("create_avatar", "create_image", "gallery", "support")),
    *LINES,
    *COUNTED,
    "progress.zone",
    "resolved.title",
    "resolved.text",
    *(f"alert.{condition}.{part}" for condition in Condition for part in ("title", "text")),
    *(f"reason.{reason}" for reason in REASONS),
    *(f"digest.{part}" for part in DIGEST),
}
OPERATORS = ("alert.", "resolved.", "test.", "reason.", "digest.")
PAYMENT = {"support.line", "button.support"}  # they point to where such questions are answered, and promise nothing
SILENT = f"alert.{Condition.KEYS_MISSING}.text"  # nothing can be measured of what is not there
FORMS = {"ru": 3, "kk": 2, "en": 2}


def expected_placeholders(msgid: str) -> set[str]:
    if msgid == "label":
        return {"name"}
    if msgid in COUNTED:
        return {"label", "n"}
    if msgid in IMAGES:
        return IMAGES[msgid]
    if msgid in TITLES | LINES:
        return {"label", "time"} if msgid == "progress.late" else {"label"}
    if msgid.startswith("digest."):
        return DIGEST[msgid.removeprefix("digest.")]
    return {"detail"} if msgid.startswith("alert.") and msgid.endswith(".text") and msgid != SILENT else set()


def key(message: Message) -> str:
    return str(message.id[0] if isinstance(message.id, tuple) else message.id)


def texts(message: Message) -> list[str]:
    """The words of a message, each of its plural forms."""
    return [str(text) for text in (message.string if isinstance(message.string, tuple) else [message.string])]


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
    """A catalog holds exactly the msgids that are asked for, each translated, none fuzzy or obsolete."""
    catalog = read(language)
    assert {key(message) for message in catalog if message.id} == MSGIDS
    assert [message.id for message in catalog if not all(texts(message))] == []
    assert [message.id for message in catalog if message.id and message.fuzzy] == []
    assert not catalog.obsolete


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_are_equal_in_every_language(language: str) -> None:
    """Every language has the same places for names, moments, counts and details, in every form of a plural."""
    for message in read(language):
        if message.id:
            for text in texts(message):
                assert placeholders(text) == expected_placeholders(key(message)), message.id


@pytest.mark.parametrize("language", LANGUAGES)
def test_counts_have_the_forms_of_their_language(language: str) -> None:
    """Russian has three forms, Kazakh two that are equal (no plural after a number), English two."""
    for message in read(language):
        if message.id and key(message) in COUNTED:
            forms = texts(message)
            assert len(forms) == FORMS[language]
            assert (len(set(forms)) == 1) is (language == "kk")


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_are_compiled_in_memory(language: str) -> None:
    """What the .po says is what an owner reads: no .mo on disk is needed."""
    words = Catalogs("ru").of(language)
    for message in read(language):
        if message.id and key(message) not in COUNTED:
            assert words.gettext(key(message)) == message.string
    assert not list(LOCALES.rglob("*.mo"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_wording_promises_no_money(language: str) -> None:
    """Owners read nothing about refunds or the operator: this server cannot keep such a promise."""
    words = " ".join(
        " ".join(texts(message)).lower()
        for message in read(language)
        if not key(message).startswith(OPERATORS) and key(message) not in PAYMENT
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
