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
