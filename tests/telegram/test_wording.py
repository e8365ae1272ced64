import unicodedata
from collections import Counter
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.alert import REMEDY, Alert, AlertLevel, Condition
from app.domain.message import Message
from app.domain.notification import Cause, Notification, Owner, OwnerMessage, Topic, alert_message
from app.telegram.catalogs import Catalogs
from app.telegram.wording import DETAIL_LIMIT, NAME_LIMIT, shown_name, word

WORDS = Catalogs("ru")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AVATAR = "0b5e3b9c-1c1f-4d9c-9d2b-6f0e2b0f6d11"
LANGUAGES = ("ru", "kk", "en")
HOSTILE = (
    "<script>window.__pwned=1</script>",
    '<a href="tg://user?id=1">x</a>',
    "</b><b>&lt;&amp;",
    "{name}{0}%s%(name)s",
    "a\r\nb\x1b[31m\x00",
    "\u202egnp.exe\u2066\u2028\u200b",
    "\ud800",
)


def note(
    name: str = "Лето", kind: Topic = Topic.READY, cause: Cause | None = None, language: str = "ru"
) -> Notification:
    return OwnerMessage(AVATAR, name, "request-1", kind, Owner("owner-1", 42, language), cause)


def said(msgid: str, language: str = "ru", **fields: str) -> str:
    """Look the words up in the catalog, so that a test need not be changed with them."""
    return WORDS.of(language).gettext(msgid).format(**fields)


class Telegram(HTMLParser):
    """Read HTML as Telegram does: tags, and the text that is left."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_sendable(message: Message) -> None:
    parsed = Telegram(message.html)
    assert parsed.tags == ["b", "code"][: len(parsed.tags)]
    assert parsed.tags
    assert parsed.text == message.plain
    assert 0 < len(message.plain.encode("utf-16-le")) / 2 <= 4096
    for row in message.keyboard:
        for label, callback_data in row:
            assert label
            assert 1 <= len(callback_data.encode()) <= 64


def test_ready_in_russian() -> None:
    """The owner of a finished avatar reads its name and gets both buttons of the bot."""
    title, text = said("ready.title", name="Лето"), said("ready.text")
    assert word(note(), WORDS) == Message(
        html=f"<b>{title}</b>\n\n{text}",
        plain=f"{title}\n\n{text}",
        keyboard=(
            ((said("ready.generate"), f"avatar_generate:{AVATAR}"),),
            ((said("gallery"), "avatar_gallery"),),
        ),
    )


def test_failed_in_russian() -> None:
    """The owner of a failed avatar reads why, what to do next, and gets the way to the gallery only."""
    message = word(note(kind=Topic.FAILED, cause=Cause.NO_FACE), WORDS)
    assert message.plain == f"{said('failed.title', name='Лето')}\n\n{said('failed.no_face')}"
    assert message.keyboard == (((said("gallery"), "avatar_gallery"),),)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_its_own_words(cause: Cause, language: str) -> None:
    """No cause is worded as another one, in any language."""
    message = word(note(kind=Topic.FAILED, cause=cause, language=language), WORDS)
    assert_sendable(message)
    others = {word(note(kind=Topic.FAILED, cause=c, language=language), WORDS).plain for c in Cause if c is not cause}
    assert message.plain not in others
    assert "failed." not in message.plain


def test_failure_without_a_cause_is_an_unknown_one() -> None:
    """A failed notification without a cause is worded, not lost."""
    assert word(note(kind=Topic.FAILED), WORDS) == word(note(kind=Topic.FAILED, cause=Cause.UNKNOWN), WORDS)


@pytest.mark.parametrize(("tag", "language"), [("kk", "kk"), ("en-GB", "en"), ("pt-br", "ru"), ("", "ru")])
def test_an_owner_reads_their_own_language(tag: str, language: str) -> None:
    """The owner's tag chooses the words; an unknown one gets the default language."""
    assert said("ready.title", language, name="Лето") in word(note(language=tag), WORDS).plain


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", [Topic.READY, Topic.FAILED])
def test_hostile_names_are_inert(name: str, kind: Topic) -> None:
    """Fault 47: markup, placeholders, controls, bidi marks and lone surrogates in a name stay text or vanish."""
    message = word(note(name, kind), WORDS)
    assert_sendable(message)
    line, _, _ = message.plain.partition("\n")
    assert not [character for character in line if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]


@given(name=st.text(), kind=st.sampled_from([Topic.READY, Topic.FAILED]), language=st.sampled_from(LANGUAGES))
def test_any_name_makes_a_sendable_message(name: str, kind: Topic, language: str) -> None:
    """Fault 47: whatever an owner called the avatar, the HTML has our one tag and shows exactly the plain text."""
    message = word(note(name, kind, language=language), WORDS)
    assert_sendable(message)
    assert message.plain.count("\n") == 2


@pytest.mark.parametrize("name", ["", "  \n\t", "\u202e\u200b", "\u200d"])
def test_an_avatar_without_a_name(name: str) -> None:
    """A name with nothing to see leaves no empty quotes behind."""
    assert word(note(name), WORDS).plain.startswith(f"{said('ready.title.unnamed')}\n")
    assert word(note(name, Topic.FAILED), WORDS).plain.startswith(f"{said('failed.title.unnamed')}\n")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x" * NAME_LIMIT, "x" * NAME_LIMIT),
        ("x" * (NAME_LIMIT + 1), "x" * (NAME_LIMIT - 1) + "…"),
        ("&" * 5000, "&" * (NAME_LIMIT - 1) + "…"),
        ("a b\u2003c\u00a0d", "a b c d"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("x" * (NAME_LIMIT - 2) + "e\u0301!!", "x" * (NAME_LIMIT - 2) + "…"),
        ("x" * (NAME_LIMIT - 2) + "👩\u200d👧!", "x" * (NAME_LIMIT - 2) + "…"),
        ("x" * (NAME_LIMIT - 3) + "👩\u200d👧!", "x" * (NAME_LIMIT - 3) + "👩…"),
        ("x" * (NAME_LIMIT - 3) + "e\u0301\u0301!!", "x" * (NAME_LIMIT - 3) + "…"),
        ("\u0301" * 100, "\u0301" * (NAME_LIMIT - 1) + "…"),
    ],
)
def test_long_names_are_cut_whole(name: str, shown: str) -> None:
    """A name is cut before it is escaped, never between a letter and its marks, and spaces collapse."""
    assert shown_name(name) == shown


def test_longest_message_is_far_below_the_limit() -> None:
    """A name of 5,000 ampersands becomes 315 characters of entities, none of them cut."""
    message = word(note("&" * 5000, Topic.FAILED, Cause.DOWNLOAD), WORDS)
    assert_sendable(message)
    assert message.html.count("&amp;") == NAME_LIMIT - 1


def test_an_avatar_id_too_long_for_a_button_loses_the_button() -> None:
    """callback_data over 64 bytes would make Telegram refuse the whole message."""
    owner = Owner("owner-1", 42, "ru")
    assert len(word(OwnerMessage("x" * 48, "Лето", "r", Topic.READY, owner), WORDS).keyboard) == 2
    message = word(OwnerMessage("x" * 49, "Лето", "r", Topic.READY, owner), WORDS)
    assert message.keyboard == (((said("gallery"), "avatar_gallery"),),)


def alert(
    condition: Condition = Condition.CERTIFICATE_REFUSED,
    level: AlertLevel = AlertLevel.CRITICAL,
    *,
    detail: str = "ssl/a.crt: it is not its key. To mend it: mv a b",
    machine: str = "web-1",
    kind: Topic = Topic.ALERT,
    language: str = "en",
) -> Notification:
    name = f"{condition}@{machine}" if machine else condition.value
    return alert_message(
        Alert(name, machine, level, detail, NOW, NOW, NOW, times=1), kind, chat_id=-100, language=language
    )


def test_an_alert_in_english() -> None:
    """The operator reads what is wrong, where, the detail, and the command to run as code; there are no buttons."""
    assert word(alert(), WORDS) == Message(
        html=(
            "<b>🚨 A new certificate was refused · web-1</b>\n\nThe server goes on with the old one. ssl/a.crt: it is "
            "not its key. To mend it: mv a b The whole diagnosis:\n\n<code>aisha-webhook doctor tls</code>"
        ),
        plain=(
            "🚨 A new certificate was refused · web-1\n\nThe server goes on with the old one. ssl/a.crt: it is not "
            "its key. To mend it: mv a b The whole diagnosis:\n\naisha-webhook doctor tls"
        ),
        keyboard=(),
    )


def test_the_end_of_an_alert_in_russian() -> None:
    """The operator reads what is over, and that there is nothing to do."""
    message = word(
        alert(Condition.DELIVERIES_BURIED, detail="3", machine="", kind=Topic.RESOLVED, language="ru"), WORDS
    )
    assert message.plain == "✅ Устранено: Есть отложенные доставки\n\nДелать ничего не нужно."


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("level", AlertLevel)
@pytest.mark.parametrize("condition", Condition)
def test_every_alert_has_its_words_and_its_command(condition: Condition, level: AlertLevel, language: str) -> None:
    """Each alert has words, names its command, and the mark tells its level."""
    message = word(alert(condition, level, detail="17", language=language), WORDS)
    assert_sendable(message)
    assert message.plain.startswith({AlertLevel.WARN: "⚠️", AlertLevel.CRITICAL: "🚨"}[level])
    assert message.html.endswith(f"<code>{REMEDY[condition]}</code>")
    assert "alert." not in message.plain


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_alert_is_worded_as_another(language: str) -> None:
    """Titles and texts differ from alert to alert, in any language."""
    for part in ("title", "text"):
        words = [said(f"alert.{condition}.{part}", language, detail="17") for condition in Condition]
        assert [text for text, times in Counter(words).items() if times > 1] == []


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("kind", [Topic.ALERT, Topic.RESOLVED])
def test_hostile_details_are_inert(hostile: str, kind: Topic) -> None:
    """Fault 47: what stands in a certificate's file name or a host name stays text in an alert, too."""
    message = word(alert(detail=hostile, machine=hostile, kind=kind), WORDS)
    assert_sendable(message)
    text = message.plain.replace("\n", "").replace("\N{VARIATION SELECTOR-16}", "")
    assert not [character for character in text if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]


def test_a_long_detail_is_cut() -> None:
    """However much there is to say, the message stays within Telegram's limit."""
    message = word(alert(detail="<" * 9_000), WORDS)
    assert_sendable(message)
    assert message.plain.count("<") == DETAIL_LIMIT - 1
