"""A search in words: read, spelled, refused with a better word."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import SearchRefused
from app.domain.search import EVERYTHING, LONGEST, QUEUES, Search, parse_search, spell_search, suggest
from tests.fakes import START

WORD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
MOMENT = st.datetimes(datetime(2001, 1, 1), datetime(2999, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001


@st.composite
def searches(draw: st.DrawFn, queue: str) -> Search:
    words = QUEUES[queue]
    kinds = {"chat": st.integers(-(10**15), 10**15), "after": MOMENT, "before": MOMENT}
    named = {
        name: st.sampled_from([str(word) for word in words.words[name]])
        if name in words.words
        else kinds.get(name, WORD)
        for name in words.qualifiers
    }
    chosen: dict[str, Any] = draw(st.fixed_dictionaries({}, optional=named))
    return Search(**chosen)


@pytest.mark.parametrize("queue", QUEUES)
@given(draw=st.data())
def test_a_spelled_search_reads_the_same(queue: str, draw: st.DataObject) -> None:
    """Whatever is searched for can be put into a link or a form, and reads the same again."""
    search = draw.draw(searches(queue))
    spelled = spell_search(search)
    if len(spelled) <= LONGEST:
        assert parse_search(spelled, queue, START) == search


@given(text=st.text(max_size=60), queue=st.sampled_from(list(QUEUES)))
def test_any_text_is_read_or_refused(text: str, queue: str) -> None:
    """No text is a bug: it is a search, or one sentence says what is wrong."""
    try:
        search = parse_search(text, queue, START)
    except SearchRefused:
        return
    assert parse_search(spell_search(search), queue, START) == search


def test_a_word_alone_is_a_request_id() -> None:
    """What an operator pastes is looked for."""
    assert parse_search("  4711 ", "deliveries", START) == Search(request="4711")
    assert parse_search(" ", "deliveries", START) is not None
    assert parse_search("", "deliveries", START) == EVERYTHING


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("after:6h", START - timedelta(hours=6)),
        ("after:90s", START - timedelta(seconds=90)),
        ("after:999999d", datetime(2000, 1, 1, tzinfo=UTC)),
        ("after:2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("after:2026-11-01T12:30+05:00", datetime(2026, 11, 1, 7, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_moment_or_so_long_ago(text: str, moment: datetime) -> None:
    """Times are UTC unless they say otherwise."""
    assert parse_search(text, "deliveries", START).after == moment


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stat:dead", "did you mean state?"),
        ("state:daed", "did you mean dead?"),
        ("reson:orphan", "did you mean reason?"),
        ("kind:trainig", "did you mean training?"),
        ("state:dead state:done", "stands twice"),
        ("after:soon", "wants a time"),
        ("chat:me", "wants Telegram's number"),
        ('reason:"open', "cannot be read from here"),
        ("reason:\0", "NUL"),
        ("x" * (LONGEST + 1), "characters"),
        ("stage:queued", "unknown qualifier stage"),
        ('reason:""', "wants a word"),
    ],
)
def test_what_cannot_be_searched_for_is_said(text: str, words: str) -> None:
    """A wrong qualifier or word is refused, with the one that was meant where it is near."""
    with pytest.raises(SearchRefused, match=words):
        parse_search(text, "deliveries", START)


def test_an_unfinished_word_is_completed() -> None:
    """A shell, or a page, offers qualifiers, and then what they take."""
    assert suggest("state:dead re", "deliveries") == ["reason:", "request:"]
    assert suggest("state:d", "deliveries") == ["state:done", "state:dead"]
    assert suggest("reason:x", "deliveries") == []
    assert suggest("reason:or", "deliveries") == ["reason:orphan"]
    assert suggest("after:2", "jobs") == ["after:24h"]
    assert suggest("outcome:g", "jobs") == ["outcome:gone"]
    assert suggest("outcome:g", "deliveries") == []


def test_a_refusal_says_the_whole_sentence() -> None:
    """What is wrong, where, and what there is instead: the operator need not look anything up."""
    for queue, text, sentence in (
        ("jobs", "xyz:1", f"unknown qualifier xyz; there are: {', '.join(QUEUES['jobs'].qualifiers)}"),
        ("jobs", "state:deadd", "unknown state deadd: did you mean dead? there are: pending, done, dead, historic"),
        ("jobs", "kind:zzz", "unknown kind zzz; there are: training, generation, test"),
        ("jobs", "state:dead " + '"' * 50, "cannot be read from here: " + '"' * 40),
        ("jobs", "owner:\0", "owner: takes no NUL"),
        ("jobs", 'owner:""', "owner: wants a word"),
        ("jobs", "owner:a OWNER:b", "owner: stands twice"),
        ("jobs", "chat:me", "chat: wants Telegram's number of a chat, not me"),
        ("jobs", "after:soon", "after: wants a time such as 2026-11-29T12:30, or 6h for six hours ago"),
        ("jobs", "x" * 501, "a search is at most 500 characters long"),
    ):
        with pytest.raises(SearchRefused) as refused:
            parse_search(text, queue, START)
        assert str(refused.value) == sentence


def test_words_are_read_whatever_their_case() -> None:
    """A qualifier, and a word of few, in capitals or not; what may be anything stays as it is typed."""
    found = parse_search('STATE:Dead Reason:Orphan contains:"a \\" B"', "deliveries", START)
    assert found == Search(state="dead", reason="Orphan", contains='a " B')


def test_a_backslash_keeps_whatever_follows_it() -> None:
    """In quotes a quote, a backslash and any letter are what they are; a line break needs none."""
    assert parse_search('contains:"a\nb\\\\c\\"d\\e"', "deliveries", START) == Search(contains='a\nb\\c"de')


def test_a_time_beyond_all_calendars_is_the_last_or_the_first() -> None:
    """A database takes no year 10,000 and no day before its own; the search is read all the same."""
    for text, moment in (
        ("9999-12-31T23:59-12:00", datetime(9000, 1, 1, tzinfo=UTC)),
        ("9000-06-01", datetime(9000, 1, 1, tzinfo=UTC)),
        ("8999-06-01", datetime(8999, 6, 1, tzinfo=UTC)),
        ("0001-01-01", datetime(2000, 1, 1, tzinfo=UTC)),
    ):
        assert parse_search(f"before:{text}", "jobs", START).before == moment


def test_a_search_is_spelled_as_one_would_type_it() -> None:
    """Quotes only where a value needs them, times with their zone."""
    search = Search(state="dead", owner='a "b"', chat=-5, after=datetime(2026, 11, 1, tzinfo=UTC))
    assert spell_search(search) == 'state:dead owner:"a \\"b\\"" chat:-5 after:2026-11-01T00:00:00+00:00'


def test_a_search_without_words_is_for_everything() -> None:
    """It becomes one where its last qualifier is dropped."""
    search = Search(state="dead", chat=5)
    assert not search.is_empty()
    assert search.without("chat") == Search(state="dead")
    assert search.without("state", "chat").is_empty()


def test_a_shell_is_offered_nothing_after_a_qualifier_that_there_is_not() -> None:
    """All qualifiers before the first letter, and no word where anything may stand."""
    assert suggest("", "deliveries") == [f"{name}:" for name in QUEUES["deliveries"].qualifiers]
    assert suggest("stage:q", "deliveries") == []
    assert suggest("owner:", "deliveries") == []
