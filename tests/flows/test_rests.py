"""Whom one process must leave alone until when (faults 42 and 43)."""

from datetime import timedelta

import pytest

from app.domain.send_outcome import Down, NoToken, SendOutcome, Sent, SlowDown, TokenRefused, Uncertain
from app.domain.send_policy import DOUBT_PAUSE, DOWN_PAUSE, Judgement, judge
from app.flows.notify.rests import Rests
from tests.fakes import START


def at(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def judged(outcome: SendOutcome, seconds: float = 0, *, failures: int = 0, silences: int = 1) -> Judgement:
    return judge(
        outcome,
        failures=failures,
        uncertain=0,
        owed_since=START,
        now=START + at(seconds),
        jitter=0.0,
        silences=silences,
    )


def test_a_429_rests_its_chat_alone() -> None:
    """The one that was told to slow down, to the very second; everybody else goes on."""
    rests = Rests()
    rests.note(judged(SlowDown(30)), 42, START)
    assert rests.ends(42, START + at(29)) == START + at(30)
    assert rests.ends(42, START + at(30)) is None
    assert rests.ends(43, START) is None
    assert rests.ends(None, START) is None


@pytest.mark.parametrize("waits", [(3600, 5), (5, 60)])
def test_two_chats_slowed_down_rest_the_bot_as_long_as_the_second_must(waits: tuple[int, int]) -> None:
    """The answer does not say whether chat or bot is meant; a group's hour is not everybody's (fault 42)."""
    rests = Rests()
    rests.note(judged(SlowDown(waits[0])), 42, START)
    widened = rests.note(judged(SlowDown(waits[1])), 43, START)
    assert (widened.pause_bot, widened.pause_until, widened.pause_asked) == (True, START + at(waits[1]), True)
    assert rests.ends(None, START) == START + at(waits[1])
    assert rests.ends(42, START) == START + at(waits[0])


def test_two_chats_slowed_down_at_different_times_are_two_matters() -> None:
    """Eleven seconds apart they say nothing about the bot."""
    rests = Rests()
    rests.note(judged(SlowDown(60)), 42, START)
    assert not rests.note(judged(SlowDown(60), 11), 43, START + at(11)).pause_bot


def test_a_shorter_rest_does_not_end_a_longer_one() -> None:
    """A refused token rests a minute, whatever was heard meanwhile."""
    rests = Rests()
    rests.note(judged(TokenRefused("401")), 42, START)
    rests.note(judged(Down("502")), 43, START)
    assert rests.ends(None, START) == START + at(60)


def test_a_clock_put_back_ends_a_rest() -> None:
    """A rest that was noted later than now was noted by a wrong clock (fault 15)."""
    rests = Rests()
    rests.note(judged(SlowDown(60), 10_800), 42, START + at(10_800))
    assert rests.ends(42, START) is None
    assert not rests.note(judged(SlowDown(5)), 43, START).pause_bot


def test_a_clock_that_is_corrected_by_a_little_ends_no_rest() -> None:
    """NTP sets a clock back by moments all the time."""
    rests = Rests()
    rests.note(judged(SlowDown(60)), 42, START)
    assert rests.ends(42, START - at(0.5)) == START + at(60)


@pytest.mark.parametrize(("outcome", "longest"), [(Down("502"), DOWN_PAUSE), (Uncertain("hang"), DOUBT_PAUSE)])
def test_rests_grow_while_telegram_says_nothing(outcome: SendOutcome, longest: timedelta) -> None:
    """Two seconds at first, doubled each time, up to a limit (fault 43)."""
    ends = [judged(outcome, silences=silences).pause_until for silences in (1, 2, 3, 99)]
    assert ends == [START + at(2), START + at(4), START + at(8), START + longest]


def test_sends_that_were_under_way_together_are_one_silence() -> None:
    """Sixty-four broken connections of one moment are one bad moment."""
    rests = Rests()
    for _ in range(64):
        assert rests.hear(Uncertain("hang"), START) == 1
        rests.note(judged(Uncertain("hang")), 42, START)
    assert rests.hear(Down("502"), START + at(2)) == 2


@pytest.mark.parametrize("answer", [Sent(1, 42), SlowDown(5), TokenRefused("401"), NoToken("text")])
def test_any_answer_ends_the_silence(answer: SendOutcome) -> None:
    """Telegram has spoken, whatever it said."""
    rests = Rests()
    rests.hear(Down("502"), START)
    assert rests.is_silent()
    rests.hear(answer, START)
    assert not rests.is_silent()
