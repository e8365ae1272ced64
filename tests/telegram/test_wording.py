import unicodedata
from collections import Counter
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.alert import REMEDY, Alert, AlertLevel, Condition
from app.domain.message import LinkButton, Message
from app.domain.notification import Cause, Notification, Owner, OwnerMessage, Topic, alert_message
from app.domain.trainer import Trainer
from app.telegram.alert_wording import DETAIL_LIMIT
from app.telegram.catalogs import Catalogs
from app.telegram.names import NAME_LIMIT, bare
from app.telegram.wording import result_frame, word

WORDS = Catalogs("ru")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AVATAR = "0b5e3b9c-1c1f-4d9c-9d2b-6f0e2b0f6d11"
LANGUAGES = ("ru", "kk", "en")
OTHERS = (
    Topic.ALERT,
    Topic.RESOLVED,
    Topic.DIGEST,
    Topic.IMAGES,
    Topic.IMAGES_FAILED,
)  # worded in modules of their own
OWNERS = [topic for topic in Topic if topic not in OTHERS]
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
    name: str = "Лето",
    kind: Topic = Topic.READY,
    cause: Cause | None = None,
    language: str = "ru",
    trainer: Trainer | None = Trainer.PORTRAIT,
) -> Notification:
    return OwnerMessage(AVATAR, name, "request-1", kind, Owner("owner-1", 42, language), cause, trainer=trainer)


def said(msgid: str, language: str = "ru", **fields: str) -> str:
    """Look the words up in the catalog, so that a test need not be changed with them."""
    return WORDS.of(language).gettext(msgid).format(**fields)


def titled(msgid: str, language: str = "ru", name: str = "Лето") -> str:
    """A title with a name in its quotes."""
    return said(msgid, language, label=said("label", language, name=name))


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
    assert parsed.text == message.plain
    assert 0 < len(message.plain.encode("utf-16-le")) / 2 <= 4096
    for row in message.keyboard:
        for button in row:
            assert button[0]
            if not isinstance(button, LinkButton):
                assert 1 <= len(button[1].encode()) <= 64


GALLERY = ((said("button.gallery"), "avatar_gallery"),)
CREATE = ((said("button.create_avatar"), "create_avatar"),)
HELP = "https://t.me/aisha_help"
SUPPORT = (LinkButton(said("button.support"), HELP),)


def test_ready_in_russian() -> None:
    """The owner of a finished avatar reads its name and type, and gets both buttons of the bot."""
    message = word(note(), WORDS)
    title, kind, text = titled("ready.title"), said("ready.type.portrait"), said("ready.text")
    assert bare(message.plain) == f"{title}\n{kind}\n\n{text}"
    assert bare(message.html) == f"<b>{title}</b>\n{kind}\n\n{text}"
    assert message.keyboard == (((said("button.create_image"), f"avatar_generate:{AVATAR}"),), GALLERY)


def test_a_style_leads_to_the_gallery_alone() -> None:
    """The bot makes no images with a style yet, so its owner is not sent where nothing can be done."""
    message = word(note(trainer=Trainer.STYLE), WORDS)
    assert message.keyboard == (GALLERY,)
    assert said("ready.type.style") in message.plain
    assert said("ready.text.gallery") in message.plain
    assert said("ready.text") not in message.plain


def test_a_type_that_is_not_known_is_not_told() -> None:
    """Nothing is said of the type where the row holds no word of ours."""
    message = word(note(trainer=None), WORDS)
    assert bare(message.plain) == f"{titled('ready.title')}\n\n{said('ready.text')}"
    assert len(message.keyboard) == 2


def test_failed_in_russian() -> None:
    """The owner of a failed avatar reads why and what to do next, and the button for that is there."""
    message = word(note(kind=Topic.FAILED, cause=Cause.NO_FACE), WORDS)
    assert bare(message.plain) == f"{titled('failed.title')}\n\n{said('failed.no_face')}"
    assert message.keyboard == (CREATE,)


def test_a_failure_with_a_place_for_questions() -> None:
    """Where SUPPORT_URL is set, a paragraph of its own names it and a button opens it."""
    message = word(note(kind=Topic.FAILED, cause=Cause.NO_FACE), WORDS, HELP)
    text, line = said("failed.no_face"), said("support.line")
    assert bare(message.plain) == f"{titled('failed.title')}\n\n{text}\n\n{line}"
    assert message.keyboard == (CREATE, SUPPORT)


@pytest.mark.parametrize(
    ("kind", "cause"), [(Topic.FAILED, Cause.OUR_ACCOUNT), (Topic.TROUBLE_OURS, None)], ids=["account", "trouble"]
)
def test_what_must_wait_has_no_button_to_begin_anew(kind: Topic, cause: Cause | None) -> None:
    """Whoever is asked not to create the avatar again gets no button for it; asking is possible."""
    assert word(note(kind=kind, cause=cause), WORDS).keyboard == ()
    assert word(note(kind=kind, cause=cause), WORDS, HELP).keyboard == (SUPPORT,)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_account_is_back(language: str) -> None:
    """The promise that we write is kept with the button that the text names."""
    message = word(note(kind=Topic.ACCOUNT_BACK, language=language), WORDS, HELP)
    title, text = titled("account_back.title", language), said("account_back.text", language)
    assert bare(message.plain) == f"{title}\n\n{text}"
    create = said("button.create_avatar", language)
    assert message.keyboard == (((create, "create_avatar"),),)
    assert create.partition(" ")[2] in text


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
    assert titled("ready.title", language) in bare(word(note(language=tag), WORDS).plain)


@given(name=st.text(), kind=st.sampled_from(OWNERS), language=st.sampled_from(LANGUAGES))
def test_any_name_makes_a_sendable_message(name: str, kind: Topic, language: str) -> None:
    """Fault 47: whatever an owner called the avatar, the HTML has our one tag and shows exactly the plain text."""
    message = word(note(name, kind, language=language), WORDS, HELP)
    assert_sendable(message)
    lines = word(note("x", kind, language=language), WORDS, HELP).plain.count("\n")
    assert message.plain.count("\n") == lines


@pytest.mark.parametrize("name", ["", "  \n\t", "\u202e\u200b", "\u200d", "\u3164\u115f", "\u2800", "\ufe0f", "\u00ad"])
def test_an_avatar_without_a_name(name: str) -> None:
    """A name with nothing to see leaves no empty quotes behind."""
    assert word(note(name), WORDS).plain.startswith(f"{said('ready.title.unnamed')}\n")
    assert word(note(name, Topic.FAILED), WORDS).plain.startswith(f"{said('failed.title.unnamed')}\n")
    trouble = said("trouble_ours.text", label=said("label.unnamed"))
    assert word(note(name, Topic.TROUBLE_OURS), WORDS).plain == trouble


def test_longest_message_is_far_below_the_limit() -> None:
    """A name of 5,000 ampersands becomes 315 characters of entities, none of them cut."""
    message = word(note("&" * 5000, Topic.FAILED, Cause.DOWNLOAD), WORDS)
    assert_sendable(message)
    assert message.html.count("&amp;") == NAME_LIMIT - 1


def test_an_avatar_id_too_long_for_a_button_loses_the_button() -> None:
    """callback_data over 64 bytes would make Telegram refuse the whole message; the text knows of it."""
    owner = Owner("owner-1", 42, "ru")
    assert len(word(OwnerMessage("x" * 48, "Лето", "r", Topic.READY, owner), WORDS).keyboard) == 2
    message = word(OwnerMessage("x" * 49, "Лето", "r", Topic.READY, owner), WORDS)
    assert message.keyboard == (GALLERY,)
    assert said("ready.text.gallery") in message.plain


def test_words_are_put_together_once() -> None:
    """Telling a thousand owners of one language about one outcome looks the words up once."""
    result_frame.cache_clear()
    for number in range(1000):
        word(note(f"Лето {number}", Topic.FAILED, Cause.NO_FACE), WORDS, HELP)
    assert result_frame.cache_info().misses == 1


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


def test_an_alert_names_a_command_that_works_from_anywhere() -> None:
    """Our command is called as the machine has it; a command of the system's stays as it is."""
    assert word(alert(), WORDS, cli="cd /srv && .venv/bin/aisha-webhook").plain.endswith(
        "\n\ncd /srv && .venv/bin/aisha-webhook doctor tls"
    )
    clock = word(alert(Condition.CLOCK_SKEW), WORDS, cli="/srv/aisha-webhook")
    assert clock.plain.endswith(f"\n\n{REMEDY[Condition.CLOCK_SKEW]}")


def test_the_end_of_an_alert_in_russian() -> None:
    """The operator reads what is over, and that there is nothing to do."""
    message = word(
        alert(Condition.DELIVERIES_BURIED, detail="3", machine="", kind=Topic.RESOLVED, language="ru"), WORDS
    )
    assert message.plain == "✅ Устранено: Есть отложенные доставки\n\nБольше ничего делать не нужно."


def test_every_alert_has_its_words_and_its_command() -> None:
    """Each alert has words, names its command, and the mark tells its level."""
    for language, level, condition in product(LANGUAGES, AlertLevel, Condition):
        message = word(alert(condition, level, detail="17", language=language), WORDS)
        assert_sendable(message)
        assert message.plain.startswith({AlertLevel.WARN: "⚠️", AlertLevel.CRITICAL: "🚨"}[level]), (
            language,
            level,
            condition,
        )
        assert message.html.endswith(f"<code>{REMEDY[condition]}</code>"), (language, level, condition)
        assert "alert." not in message.plain, (language, level, condition)


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
