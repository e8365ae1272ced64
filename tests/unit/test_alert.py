"""The life of an alert where a flow does not lead: clocks that step back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.alert import CALM, REMEDY, REPEAT, Alarm, Alert, AlertLevel, Condition, Turn, follow, unopened
from app.domain.notification import Kind, read_cause, tell_operator

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ALARM = Alarm(Condition.CLOCK_SKEW, AlertLevel.WARN, "+75", "web-1")


def opened() -> Alert:
    step = follow(unopened(ALARM, NOW), ALARM, NOW, may_tell=True)
    assert step is not None
    assert step.turn is Turn.OPENED
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
    assert over.turn is Turn.RESOLVED
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


@pytest.mark.parametrize("kind", [Kind.ALERT, Kind.RESOLVED])
def test_what_is_stored_reads_back(kind: Kind) -> None:
    """The cause of an alert's message is its condition, and everything fits the outbox's columns."""
    notification = tell_operator(opened(), kind, chat_id=1, language="ru")
    assert read_cause(kind, str(notification.cause)) is Condition.CLOCK_SKEW
    assert len(notification.avatar_id) <= 36
    assert len(notification.owner.id) == 36


def test_two_openings_are_two_messages() -> None:
    """The identity of a message holds the moment of its opening."""
    first, second = opened(), replace(opened(), opened_at=NOW + timedelta(microseconds=1))
    ids = {tell_operator(alert, Kind.ALERT, chat_id=1, language="ru").avatar_id for alert in (first, second)}
    assert len(ids) == 2
