"""The life of an alert where a flow does not lead: clocks that step back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.alert import (
    CALM,
    REMEDY,
    REPEAT,
    Alarm,
    Alert,
    AlertLevel,
    AlertStep,
    AlertTurn,
    Condition,
    follow,
    unopened,
)
from app.domain.notification import Topic, alert_message, read_notification

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ALARM = Alarm(Condition.CLOCK_SKEW, AlertLevel.WARN, "+75", "web-1")


def opened() -> Alert:
    step = follow(unopened(ALARM, NOW), ALARM, NOW, may_tell=True)
    assert step is not None
    assert step.turn is AlertTurn.OPENED
    return step.alert


def test_a_clock_that_steps_back_ends_nothing_early() -> None:
    """The wait for calm begins anew when the clock went back behind its beginning (fault 15)."""
    gone = replace(opened(), gone_at=NOW + timedelta(hours=2))
    step = follow(gone, None, NOW, may_tell=True)
    assert step is not None
    assert step.turn is None
    assert step.alert.gone_at == NOW


def test_a_clock_that_steps_back_does_not_silence_for_long() -> None:
    """A message of the future holds nothing back (fault 15)."""
    over = replace(opened(), told_at=NOW + timedelta(days=300), opened_at=NOW, resolved_at=NOW)
    step = follow(over, ALARM, NOW + REPEAT, may_tell=True)
    assert step is not None
    assert step.tell


def test_an_alert_that_is_over_stays_over() -> None:
    """A look that finds nothing has nothing to write about what is over already."""
    assert follow(unopened(ALARM, NOW), None, NOW + CALM, may_tell=True) is None


def test_an_end_is_silent_where_the_beginning_was() -> None:
    """Who never heard that it opened need not hear that it is over."""
    quiet = follow(unopened(ALARM, NOW), ALARM, NOW, may_tell=False)
    assert quiet is not None
    over = follow(replace(quiet.alert, gone_at=NOW), None, NOW + CALM, may_tell=True)
    assert over is not None
    assert over.turn is AlertTurn.RESOLVED
    assert not over.tell


def test_a_silent_opening_that_gets_worse_is_told() -> None:
    """Opened again within the hour, and worse than what was told: that is news."""
    again = replace(opened(), resolved_at=NOW + CALM)
    worse = replace(ALARM, level=AlertLevel.CRITICAL)
    step = follow(again, worse, NOW + 2 * CALM, may_tell=True)
    assert step is not None
    assert step.tell


@pytest.mark.parametrize("condition", Condition)
def test_every_condition_has_a_remedy_and_fits_its_column(condition: Condition) -> None:
    """The cause of a notification holds 32 characters."""
    assert REMEDY[condition]
    assert len(condition) <= 32


@pytest.mark.parametrize("kind", [Topic.ALERT, Topic.RESOLVED])
def test_what_is_stored_reads_back(kind: Topic) -> None:
    """An alert's message comes back from its row as it was, and everything fits the outbox's columns."""
    notification = alert_message(opened(), kind, chat_id=1, language="ru")
    stored = read_notification(
        subject=notification.subject,
        name=notification.detail,
        request_id=notification.request_id,
        topic=kind,
        owner=notification.owner,
        cause=notification.condition.value,
    )
    assert stored == notification
    assert len(notification.subject) <= 36
    assert len(notification.owner.id) == 36


def test_two_openings_are_two_messages() -> None:
    """The identity of a message holds the moment of its opening."""
    first, second = opened(), replace(opened(), opened_at=NOW + timedelta(microseconds=1))
    ids = {alert_message(alert, Topic.ALERT, chat_id=1, language="ru").subject for alert in (first, second)}
    assert len(ids) == 2


def live(minutes: int, holds: Callable[[int], bool], alarm: Alarm = ALARM) -> tuple[list[tuple[int, str]], Alert]:
    """Look once a minute; return when the operator was told what, and the alert at the end."""
    alert, told = unopened(alarm, NOW), []
    for minute in range(minutes):
        step = follow(alert, alarm if holds(minute) else None, NOW + timedelta(minutes=minute), may_tell=True)
        if step is None:
            continue
        alert = step.alert
        if step.tell:
            told.append((minute, "over" if step.turn is AlertTurn.RESOLVED else "open"))
    return told, alert


def test_what_comes_back_again_and_again_is_told_ever_more_rarely() -> None:
    """One delivery every ten minutes for three days, from whoever has a fal account: an opening a day (fault 20)."""
    told, alert = live(3 * 24 * 60, lambda minute: minute % 10 == 0)
    assert [what for _, what in told] == ["open", "over"] * 3
    assert [minute for minute, what in told if what == "open"] == [0, 24 * 60, 48 * 60]
    assert alert.times == 3 * 24 * 6


def test_trouble_that_comes_back_is_told_every_hour() -> None:
    """What is critical is never silenced for longer, however often it opens."""
    told, _ = live(6 * 60, lambda minute: minute % 10 == 0, replace(ALARM, level=AlertLevel.CRITICAL))
    assert [minute for minute, what in told if what == "open"] == list(range(0, 6 * 60, 60))


def test_what_comes_back_and_stays_is_told_within_the_hour() -> None:
    """However often it came and went before, a trouble that lasts an hour is told (fault 41)."""
    told, _ = live(8 * 60, lambda minute: minute % 10 == 0 or minute > 5 * 60)
    assert [minute for minute, what in told if what == "open"] == [0, 6 * 60]


def test_a_day_of_rest_begins_anew() -> None:
    """What was over for a day is told at once when it opens again, and a second time after an hour, as at first."""
    day = 24 * 60
    told, alert = live(3 * day, lambda minute: (minute < day or minute >= 2 * day) and minute % 60 == 0)
    assert (2 * day, "open") in told
    assert (2 * day + 60, "open") in told
    assert alert.times == 24


def test_an_opening_forgets_the_one_before() -> None:
    """Level, detail and moments are those of the look that opened it; what was told stays on record."""
    told = NOW - 2 * REPEAT
    over = replace(opened(), gone_at=NOW, resolved_at=NOW, told_at=told)
    worse, later = replace(ALARM, level=AlertLevel.CRITICAL, detail="+300"), NOW + REPEAT
    assert follow(over, worse, later, may_tell=False) == AlertStep(
        Alert(
            ALARM.name, "web-1", worse.level, "+300", later, later, later, None, None, told, AlertLevel.WARN, times=2
        ),
        AlertTurn.OPENED,
    )


def test_a_look_at_an_open_alert_keeps_its_moments() -> None:
    """The row follows the level and the detail of each look; only another level counts as a change."""
    alert, later = replace(opened(), gone_at=NOW), NOW + CALM
    same = replace(ALARM, detail="+80")
    assert follow(alert, same, later, may_tell=True) == AlertStep(
        replace(alert, detail="+80", seen_at=later, gone_at=None)
    )
    worse = replace(ALARM, level=AlertLevel.CRITICAL)
    changed = replace(alert, level=worse.level, changed_at=later, seen_at=later, gone_at=None)
    assert follow(alert, worse, later, may_tell=False) == AlertStep(changed, AlertTurn.WORSENED)
    told = replace(changed, told_at=later, told_level=worse.level)
    assert follow(alert, worse, later, may_tell=True) == AlertStep(told, AlertTurn.WORSENED, tell=True)
    better = follow(told, ALARM, later + CALM, may_tell=True)
    assert better is not None
    assert (better.alert.level, better.alert.changed_at, better.tell) == (AlertLevel.WARN, later + CALM, False)


def test_an_end_is_a_change_and_keeps_the_rest() -> None:
    """An alert is over at the look that finds it gone for CALM, and at none before."""
    gone = replace(opened(), gone_at=NOW)
    assert follow(gone, None, NOW + CALM - timedelta(microseconds=1), may_tell=True) is None
    over = NOW + CALM
    assert follow(gone, None, over, may_tell=True) == AlertStep(
        replace(gone, resolved_at=over, changed_at=over), AlertTurn.RESOLVED, tell=True
    )


def test_the_silence_after_a_warning_doubles_from_the_third_opening_on() -> None:
    """An hour after the first and the second, then 2, 4, 8 and 16, and a day from the seventh on."""
    for times, hours in ((1, 1), (2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 24), (8, 24), (1000, 24)):
        over = replace(opened(), resolved_at=NOW, times=times - 1)
        for silence, tells in ((timedelta(hours=hours) - CALM, False), (timedelta(hours=hours), True)):
            now = NOW + silence
            step = follow(replace(over, resolved_at=now), ALARM, now, may_tell=True)
            assert step is not None
            assert step.tell is tells, (times, silence)


def test_an_alarm_that_was_never_seen_begins_as_one_that_is_over() -> None:
    """Its row holds what the alarm says, no opening, and nothing that was told."""
    assert unopened(ALARM, NOW) == Alert(ALARM.name, "web-1", AlertLevel.WARN, "+75", NOW, NOW, NOW, resolved_at=NOW)
