"""What is counted and kept of many: failures worth a line, histograms, refusals, how long a part of the way took."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.domain.delivery import milliseconds
from app.domain.history import is_worth_keeping
from app.domain.measures import Histogram, Measures
from app.domain.refusal_words import OTHER, WORDS, sentence
from app.domain.refusals import Refusal, Refusals
from app.domain.trainer import Trainer
from tests.fakes import START


def test_a_failure_gets_a_line_when_its_number_doubled() -> None:
    """The first, second, fourth, eighth: a row that fails for days has a line for each doubling and no more."""
    assert [failures for failures in range(-2, 1025) if is_worth_keeping(failures)] == [2**n for n in range(11)]


@given(st.lists(st.floats(-10, 10), max_size=20))
def test_a_histogram_counts_each_value_once(values: list[float]) -> None:
    """A value falls below the first bound that it does not exceed; one below 0 counts as 0, as a late clock's does."""
    bounds = (0.0, 1.0, 5.0)
    histogram = Histogram(bounds)
    for value in values:
        histogram.add(value)
    for number, bound in enumerate(bounds, 1):
        assert sum(histogram.counts[:number]) == sum(value <= bound for value in values), bound
    assert sum(histogram.counts) == len(values)
    assert histogram.total == sum(max(value, 0.0) for value in values)


def test_trainings_are_measured_by_trainer() -> None:
    """Each trainer has its own histogram, and one is for trainings of which none is known."""
    measures = Measures()
    assert set(measures.training) == {*Trainer, "unknown"}
    measures.training["style"].add(90.0)
    assert [sum(histogram.counts) for histogram in measures.training.values()] == [0, 1, 0]


def test_the_last_refusals_are_kept_newest_first() -> None:
    """Beyond what is kept the oldest is forgotten."""
    refusals = Refusals(2)
    three = [Refusal(START, code, 401, None, "") for code in ("a", "b", "c")]
    for refusal in three:
        refusals.add(refusal)
    assert refusals.recent() == (three[2], three[1])


def test_a_code_without_a_sentence_is_told_by_its_name() -> None:
    """A refusal has its own words, or those that name its code."""
    assert sentence("not_found") == WORDS["not_found"]
    assert sentence("of_tomorrow") == OTHER


def test_a_part_of_the_way_is_told_in_tenths_of_a_millisecond() -> None:
    """12.345 ms is told as 12.3; a clock that stepped back is seen."""
    assert milliseconds(START, START + timedelta(microseconds=12_345)) == 12.3
    assert milliseconds(START, START + timedelta(seconds=2)) == 2000.0
    assert milliseconds(START, START - timedelta(seconds=1)) == -1000.0
