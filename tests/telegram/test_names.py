import re
import unicodedata
from html.parser import HTMLParser

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from app.domain.message import Message
from app.domain.notification import Cause, Owner, OwnerMessage, Topic
from app.domain.progress import ProgressLine, ProgressMessage, ProgressState
from app.telegram.catalogs import Catalogs
from app.telegram.names import ISOLATE, NAME_LIMIT, bare, isolated, shown_name
from app.telegram.progress_wording import word_progress
from app.telegram.wording import word
from tests.telegram.naughty_names import naughty_names

WORDS = Catalogs("ru")
LANGUAGES = ("ru", "kk", "en")
SEED = 20261129
NAMES = naughty_names(500, SEED)
ISOLATES = "\u2066\u2067\u2068"
TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2069\u200f\u061c")
ENGLAND = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
# What tdlib finds in a text by itself (td/telegram/MessageEntity.cpp), a little wider than it does.
LINKS = re.compile(
    r"(?<!\w)@[A-Za-z0-9_]{2,}"
    r"|[#$][^\W\d]\w*"
    r"|(?<![\w/<>])/[A-Za-z0-9_]+"
    r"|[A-Za-z]+://"
    r"|[\w-]+\.[^\W\d]{2,}"
    r"|\d+\.\d+\.\d+\.\d+"
    r"|\+\d{7}"
    r"|\d(?:[ -]?\d){12}"
)


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "b"
        assert not attrs
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def messages(name: str, language: str) -> list[Message]:
    """Everything that holds a name."""
    owner = Owner("owner-1", 42, language)
    topics = [
        (Topic.READY, None),
        (Topic.FAILED, Cause.NO_FACE),
        (Topic.ACCOUNT_BACK, None),
        (Topic.TROUBLE_OURS, None),
    ]
    told = [
        word(OwnerMessage("avatar-1", name, "request-1", topic, owner, cause), WORDS, "https://t.me/help")
        for topic, cause in topics
    ]
    return told + [word_progress(ProgressMessage(name, owner, ProgressState(line)), WORDS) for line in ProgressLine]


def seen(text: str) -> str:
    """Keep what is seen: no blanks, no default-ignorable code points, no controls. Independent of the code's tables."""
    return regex.sub(r"[\p{Default_Ignorable_Code_Point}\p{Z}\p{Cc}\p{Cf}\p{Cs}\p{Co}\u2800]+", "", text)


def turns_right(line: str) -> bool:
    """Tell whether a line is set from left to right: UAX #9, rules P2 and P3, which skip what stands in isolates."""
    depth = 0
    for character in line:
        kind = unicodedata.bidirectional(character)
        if character in ISOLATES:
            depth += 1
        elif character == "\u2069":
            depth -= 1
        elif depth == 0 and kind in ("L", "R", "AL"):
            return kind == "L"
    return True


def label_of(message: Message) -> str | None:
    line = message.plain
    if ISOLATE not in line:
        return None
    return line[line.index(ISOLATE) + 1 : line.rindex("\u2069")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_naughty_names_are_well_formed_for_telegram(language: str) -> None:
    """Fault 47: 500 naughty names: only our own tag, closed; the text that is left is the plain text, in UTF-8."""
    for name in NAMES:
        for message in messages(name, language):
            parsed = Tags(message.html)
            assert parsed.open == []
            assert parsed.text == message.plain
            assert 0 < len(message.plain.encode("utf-16-le")) / 2 <= 4096
            assert message.html.encode()
            assert message.plain == message.plain.strip()


@pytest.mark.parametrize("language", LANGUAGES)
def test_naughty_names_read_as_they_were_written(language: str) -> None:
    """What can be seen of a name is seen, in its order, up to the limit; where nothing can, no quotes are left."""
    for name in NAMES:
        for message in messages(name, language):
            label = label_of(message)
            if label is None:
                assert seen(name) == ""
                continue
            shown = bare(label)
            assert len(shown) <= NAME_LIMIT
            if seen(shown) != seen(name):
                assert shown.endswith("…")
                assert seen(name).startswith(seen(shown)[:-1])
                assert len(shown) > NAME_LIMIT - 20  # no more than one cluster short


@pytest.mark.parametrize("language", LANGUAGES)
def test_naughty_names_turn_no_line(language: str) -> None:
    """A name has its own direction: every line is set from left to right, and isolates are closed where they open."""
    for name in NAMES:
        for message in messages(name, language):
            for line in message.plain.split("\n"):
                assert turns_right(line), ascii(name)
                assert line.count("\u2068") == line.count("\u2069") <= 1
                assert set(line) & (TURNING - {"\u2069"}) == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_naughty_names_make_no_links(language: str) -> None:
    """An @name, a link, a tag, a command, a telephone or a card in a name stays text."""
    for name in NAMES:
        for message in messages(name, language):
            found = LINKS.search(message.plain)
            assert found is None, (ascii(name), found)


def test_the_links_of_this_test_are_found_in_naughty_names() -> None:
    """The pattern that finds nothing above finds something where names are shown as they stand."""
    assert sum(LINKS.search(shown_name(name)) is not None for name in NAMES) > 50


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
        ("x" * (NAME_LIMIT - 3) + "👩\u200d👧!", "x" * (NAME_LIMIT - 3) + "…"),
        ("x" * (NAME_LIMIT - 4) + "👩\u200d👧!!", "x" * (NAME_LIMIT - 4) + "👩\u200d👧…"),
        ("x" * (NAME_LIMIT - 2) + "🇰🇿!", "x" * (NAME_LIMIT - 2) + "…"),
        ("x" * (NAME_LIMIT - 5) + ENGLAND, "x" * (NAME_LIMIT - 5) + "…"),
        ("\u0301" * 100, "\u0301" * (NAME_LIMIT - 1) + "…"),
        (ENGLAND, ENGLAND),
        ("a\U000e0041\U000e007fb", "ab"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("a\u200c\u200c\u200db\u200d", "a\u200cb"),
        ("\u3164\u2800", ""),
        ("\ufe0f\u200d", ""),
    ],
)
def test_names_are_shown_whole_or_cut_whole(name: str, shown: str) -> None:
    """Nothing is cut within what is seen as one character; joiners and flags stay, invisible names are none."""
    assert shown_name(name) == shown


@given(st.text(max_size=200))
def test_showing_a_shown_name_changes_nothing(name: str) -> None:
    """A name that is fit for a line stays as it is."""
    shown = shown_name(name)
    assert shown_name(shown) == shown
    assert bare(isolated(shown)) == shown
