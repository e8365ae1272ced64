"""What an owner reads while a training is under way."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.job import Stage
from app.domain.progress import (
    APART,
    FIRST_GUESS,
    MOST_EDITS,
    ProgressLine,
    ProgressMode,
    ProgressState,
    Shown,
    Standing,
    Usual,
    ends_at,
    last_line,
    next_line,
    spell_usual,
    usual,
)
from app.domain.trainer import Trainer

NOW = datetime(2026, 11, 29, 12, 3, 20, tzinfo=UTC)
USUAL = Usual(timedelta(minutes=20), timedelta(minutes=60))
MINUTE = timedelta(minutes=1)


def at(hour: int, minute: int) -> datetime:
    return NOW.replace(hour=hour, minute=minute, second=0)


def standing(
    stage: Stage | None = Stage.AT_WORK,
    seen: timedelta = timedelta(hours=1),
    worked: timedelta | None = 5 * MINUTE,
    percent: int | None = None,
    *,
    is_troubled: bool = False,
) -> Standing:
    began = None if worked is None else NOW - worked
    return Standing(stage, NOW - seen, began, percent, is_troubled)


def shown(
    kind: ProgressLine, ago: timedelta = 10 * MINUTE, edits: int = 0, ends: datetime | None = NOW + 15 * MINUTE
) -> Shown:
    return Shown(1, 2, kind, NOW - ago, edits, ends)


def said(job: Standing, before: Shown | None = None, mode: ProgressMode = ProgressMode.ON) -> ProgressState | None:
    return next_line(job, before, USUAL, mode, NOW)


@pytest.mark.parametrize(
    ("job", "line"),
    [
        (standing(worked=59 * timedelta(seconds=1)), None),
        (standing(worked=60 * timedelta(seconds=1)), ProgressState(ProgressLine.AT_WORK, USUAL.likely)),
        (standing(percent=38), ProgressState(ProgressLine.AT_WORK, USUAL.likely, 38)),
        (standing(percent=100), ProgressState(ProgressLine.AT_WORK, USUAL.likely, 99)),
        (standing(worked=59 * MINUTE), ProgressState(ProgressLine.AT_WORK, USUAL.likely)),
        (
            standing(worked=60 * MINUTE),
            ProgressState(ProgressLine.LATE, until=at(12, 35)),
        ),
        (
            standing(worked=180 * MINUTE),
            ProgressState(ProgressLine.LATE, until=at(14, 5)),
        ),
        (standing(Stage.QUEUED, timedelta(seconds=59), None), None),
        (standing(Stage.QUEUED, MINUTE, None), ProgressState(ProgressLine.QUEUED)),
        (standing(Stage.QUEUED, 15 * MINUTE, None), ProgressState(ProgressLine.LONG_QUEUE)),
        (standing(Stage.FINISHED), None),
        (standing(Stage.GONE), None),
        (standing(None, worked=None), None),
        (standing(is_troubled=True), ProgressState(ProgressLine.TROUBLE_OURS)),
    ],
)
def test_the_first_message_says_how_the_job_stands(job: Standing, line: ProgressState | None) -> None:
    """Nothing is said within the first minute; then queue, work, a late training or trouble of ours."""
    assert said(job) == line


def test_late_mode_leaves_the_usual_to_the_bot() -> None:
    """With PROGRESS=late a message begins with what the bot's own screen cannot know, and nothing else."""
    late = standing(worked=61 * MINUTE)
    assert said(standing(), mode=ProgressMode.LATE) is None
    assert said(standing(Stage.QUEUED, MINUTE, None), mode=ProgressMode.LATE) is None
    assert [
        line.kind
        for job in (late, standing(Stage.QUEUED, 16 * MINUTE, None), standing(is_troubled=True))
        if (line := said(job, mode=ProgressMode.LATE)) is not None
    ] == [ProgressLine.LATE, ProgressLine.LONG_QUEUE, ProgressLine.TROUBLE_OURS]


def test_a_begun_message_goes_on_in_late_mode() -> None:
    """A message that said "the queue is long" says that the work has begun."""
    line = said(standing(worked=timedelta()), shown(ProgressLine.LONG_QUEUE), ProgressMode.LATE)
    assert line == ProgressState(ProgressLine.AT_WORK, USUAL.likely)


def test_off_is_off() -> None:
    """With PROGRESS=off nothing is said, neither begun nor continued."""
    assert said(standing(is_troubled=True), mode=ProgressMode.OFF) is None
    assert said(standing(), shown(ProgressLine.QUEUED), ProgressMode.OFF) is None


@pytest.mark.parametrize("ago", [timedelta(), APART - timedelta(seconds=1)])
def test_edits_are_three_minutes_apart(ago: timedelta) -> None:
    """What has just been said stays, whatever changes."""
    assert said(standing(), shown(ProgressLine.QUEUED, ago)) is None
    assert last_line(shown(ProgressLine.AT_WORK, ago), NOW, is_ready=True) is None


def test_one_edit_is_kept_for_the_last_line() -> None:
    """Of eight edits the last is the one that follows the result."""
    assert said(standing(), shown(ProgressLine.QUEUED, edits=MOST_EDITS - 2)) is not None
    assert said(standing(), shown(ProgressLine.QUEUED, edits=MOST_EDITS - 1)) is None
    assert last_line(shown(ProgressLine.LATE, edits=MOST_EDITS - 1), NOW, is_ready=False) == ProgressState(
        ProgressLine.FAILED
    )


def test_the_same_line_is_repeated_for_a_moved_end_only() -> None:
    """At work stays as it is until the expected end moves by five minutes."""
    job = standing(percent=50)  # five minutes of work, half done: the end is in five minutes
    assert said(job, shown(ProgressLine.AT_WORK, ends=NOW + 9 * MINUTE)) is None
    assert said(job, shown(ProgressLine.AT_WORK, ends=NOW + 10 * MINUTE)) is not None


def test_a_promised_moment_is_kept() -> None:
    """A late training is not edited before the moment that its line names, and then names another."""
    late = standing(worked=90 * MINUTE)
    assert said(late, shown(ProgressLine.LATE, ends=NOW + MINUTE)) is None
    line = said(late, shown(ProgressLine.LATE, ends=NOW))
    assert line is not None
    assert line.until is not None
    assert line.until > NOW


def test_edits_are_kept_for_promises() -> None:
    """A moved end costs three edits at most, and the last ordinary edit of a late training promises twelve hours."""
    job = standing(percent=50)
    assert said(job, shown(ProgressLine.AT_WORK, edits=2, ends=NOW + 30 * MINUTE)) is not None
    assert said(job, shown(ProgressLine.AT_WORK, edits=3, ends=NOW + 30 * MINUTE)) is None
    last = said(standing(worked=90 * MINUTE), shown(ProgressLine.LATE, edits=MOST_EDITS - 2, ends=NOW))
    assert last is not None
    assert last.until == at(0, 5) + timedelta(days=1)
    before_it = said(standing(worked=90 * MINUTE), shown(ProgressLine.LATE, edits=MOST_EDITS - 3, ends=NOW))
    assert before_it is not None
    assert before_it.until == at(12, 35)


def test_a_finished_job_is_said_to_be_fetched_where_a_message_stands() -> None:
    """Nobody gets a first message about a result that comes in a moment."""
    assert said(standing(Stage.FINISHED), shown(ProgressLine.AT_WORK)) == ProgressState(ProgressLine.FETCHING)


def test_our_own_past_outweighs_the_guess() -> None:
    """From ten trainings on the usual time is learnt; before that a first guess serves, by trainer."""
    assert usual([MINUTE] * 9, Trainer.STYLE) == FIRST_GUESS[Trainer.STYLE]
    assert usual([n * MINUTE for n in range(1, 11)], None) == Usual(5 * MINUTE, 10 * MINUTE)


STANDINGS = st.builds(
    standing,
    st.none() | st.sampled_from(Stage),
    st.timedeltas(timedelta(), timedelta(days=3)),
    st.none() | st.timedeltas(timedelta(), timedelta(days=3)),
    st.none() | st.integers(0, 100),
    is_troubled=st.booleans(),
)


@given(st.lists(st.tuples(STANDINGS, st.timedeltas(timedelta(), timedelta(hours=3))), max_size=40))
def test_no_history_breaks_the_rules(history: list[tuple[Standing, timedelta]]) -> None:
    """Whatever fal says in whatever order: three minutes apart, seven edits at most, no line twice, no 100 %."""
    now, before, told = NOW, None, []
    for job, later in history:
        now += later
        line = next_line(job, before, USUAL, ProgressMode.ON, now)
        if line is None:
            continue
        assert before is None or now - before.at >= APART
        assert line.percent is None or line.percent < 100
        assert line.until is None or now < line.until <= now + timedelta(hours=12, minutes=5)
        told.append(line)
        edits = 0 if before is None else before.edits + 1
        before = Shown(1, 2, line.kind, now, edits, ends_at(job, line, now))
    assert len(told) <= MOST_EDITS
    assert all(one != other for one, other in pairwise(told) if one.kind is not ProgressLine.AT_WORK)


def test_the_next_line_is_expected_at_the_usual_end_or_at_the_measured_one() -> None:
    """By what is done of it where fal says so, else by the usual time; a promise is its own moment."""
    began = standing(worked=5 * MINUTE)
    for line, expected in (
        (ProgressState(ProgressLine.AT_WORK, USUAL.likely), NOW + 15 * MINUTE),
        (ProgressState(ProgressLine.AT_WORK, USUAL.likely, 0), NOW + 15 * MINUTE),
        (ProgressState(ProgressLine.AT_WORK, USUAL.likely, 25), NOW + 15 * MINUTE),
        (ProgressState(ProgressLine.AT_WORK, USUAL.likely, 50), NOW + 5 * MINUTE),
        (ProgressState(ProgressLine.AT_WORK), None),
        (ProgressState(ProgressLine.QUEUED, USUAL.likely), None),
        (ProgressState(ProgressLine.LATE, until=NOW + MINUTE), NOW + MINUTE),
    ):
        assert ends_at(began, line, NOW) == expected, line
    assert ends_at(standing(worked=None), ProgressState(ProgressLine.AT_WORK, USUAL.likely), NOW) is None


def test_a_promise_is_a_whole_five_minutes() -> None:
    """Rounded up, and left where the clock stands at one; half an hour at least, twelve hours at most."""
    for now, worked, until in (
        (at(12, 0), 60 * MINUTE, at(12, 30)),
        (at(12, 0) + timedelta(microseconds=1), 60 * MINUTE, at(12, 35)),
        (at(12, 4), 60 * MINUTE, at(12, 35)),
        (at(12, 0), 105 * MINUTE, at(12, 45)),
        (at(12, 0), timedelta(days=3), at(0, 0) + timedelta(days=1)),
    ):
        job = Standing(Stage.AT_WORK, now - worked, now - worked, None, is_troubled=False)
        assert next_line(job, None, USUAL, ProgressMode.ON, now) == ProgressState(ProgressLine.LATE, until=until)


def test_a_line_without_an_end_is_not_repeated() -> None:
    """What named no moment has none that could move."""
    assert said(standing(), shown(ProgressLine.AT_WORK, ends=None)) is None
    assert said(standing(Stage.QUEUED, MINUTE, None), shown(ProgressLine.QUEUED)) is None


def test_the_last_line_follows_three_minutes_after_the_one_before() -> None:
    """At the very moment it may be said, and it says how it ended."""
    for is_ready, line in ((True, ProgressLine.READY), (False, ProgressLine.FAILED)):
        assert last_line(shown(ProgressLine.AT_WORK, APART), NOW, is_ready=is_ready) == ProgressState(line)
    assert said(standing(), shown(ProgressLine.QUEUED, APART)) is not None


def test_a_usual_time_is_told_as_people_would() -> None:
    """In fives of minutes, never none, and in hours from an hour and a half on."""
    for minutes, spelt in (
        (1, ("minutes", 5)),
        (7, ("minutes", 5)),
        (8, ("minutes", 10)),
        (89, ("minutes", 90)),
        (90, ("hours", 2)),
        (300, ("hours", 5)),
    ):
        assert spell_usual(minutes * MINUTE) == spelt
