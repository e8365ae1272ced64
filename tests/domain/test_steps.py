"""When a step fails, and how that is told."""

from datetime import timedelta

from app.domain.language import Msgid
from app.domain.steps import AGAIN, LASTING, ROWS_QUIET, WORDS, StepReason, StepTrouble, list_steps
from tests.fakes import START

MOMENT = timedelta(microseconds=1)


def trouble(step: str = "apply", named: str = "", times: int = AGAIN) -> StepTrouble:
    return StepTrouble(step, StepReason.DATABASE_AWAY, named, START, START, times)


def shout(words: Msgid) -> str:
    return words.upper()


def test_every_reason_has_words() -> None:
    """No step fails without a sentence for the operator."""
    assert set(WORDS) == set(StepReason)


def test_a_step_fails_after_three_times_and_ten_seconds() -> None:
    """A restart of the database is over before both."""
    assert trouble().is_failing(START + LASTING)
    assert not trouble().is_failing(START + LASTING - MOMENT)
    assert not trouble(times=AGAIN - 1).is_failing(START + LASTING)


def test_rows_that_nobody_tries_any_more_fail_no_more() -> None:
    """A row that failed is tried again within minutes; where none was for longer, none fails. A step itself goes on."""
    quiet = START + ROWS_QUIET
    assert trouble("deliveries").is_failing(quiet)
    assert not trouble("deliveries").is_failing(quiet + MOMENT)
    assert trouble("apply").is_failing(quiet + MOMENT)


def test_a_reason_is_told_in_the_operators_words() -> None:
    """The reason is translated; what it is about follows in brackets where there is something."""
    assert trouble().why(shout) == "THE DATABASE DOES NOT ANSWER"
    assert trouble(named="avatars.status").why(shout) == "THE DATABASE DOES NOT ANSWER (avatars.status)"


def test_four_steps_are_named_and_the_rest_is_counted() -> None:
    """An alert has room for four; a fifth is a number."""
    steps = [trouble(name) for name in ("a", "b", "c", "d", "e", "f")]
    four = "; ".join(f"{name}: THE DATABASE DOES NOT ANSWER" for name in "abcd")
    assert list_steps(steps[:4], shout) == four
    assert list_steps(steps[:5], shout) == f"{four}; +1"
    assert list_steps(steps, shout) == f"{four}; +2"
    assert not list_steps([], shout)
