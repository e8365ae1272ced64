"""Which facts are alarming, and how much."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.alert import Alarm, AlertLevel, Condition
from app.domain.alert_rules import (
    LATE,
    LATE_CRITICAL,
    STARTING,
    Certificate,
    FailureRate,
    MachineFacts,
    QueueFacts,
    failure_alarms,
    machine_alarms,
    queue_alarms,
    spell_counts,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WARN, CRITICAL = AlertLevel.WARN, AlertLevel.CRITICAL
WELL = MachineFacts(
    running_for=timedelta(hours=1),
    certificate=None,
    keys_age=timedelta(minutes=10),
    keys_usable=True,
    clock_offset=None,
    foreign=0,
    addresses_age=None,
    failing="",
)
QUIET = QueueFacts({}, {}, oldest_due=None, refused_since=None, oldest_owed=None, late_orphans=0)
MOMENT = timedelta(seconds=1)


def found(facts: MachineFacts, *, foreign_before: int = 0) -> list[tuple[Condition, AlertLevel, str]]:
    return [
        (alarm.condition, alarm.level, alarm.detail)
        for alarm in machine_alarms(facts, "web-1", NOW, foreign_before=foreign_before)
    ]


def found_in_queues(facts: QueueFacts) -> list[tuple[Condition, AlertLevel, str]]:
    return [(alarm.condition, alarm.level, alarm.detail) for alarm in queue_alarms(facts, NOW)]


def test_a_certificate_is_judged_by_the_share_of_its_life() -> None:
    """A third left warns, a sixth is critical, none has expired, whether it was made for a week or for a year."""
    for lifetime, (left, levels) in product(
        [7, 45, 64, 90, 396],
        [
            (1.0, []),
            (0.34, []),
            (0.33, [(Condition.CERTIFICATE_EXPIRING, WARN)]),
            (0.17, [(Condition.CERTIFICATE_EXPIRING, WARN)]),
            (0.16, [(Condition.CERTIFICATE_EXPIRING, CRITICAL)]),
            (0.0, [(Condition.CERTIFICATE_EXPIRING, CRITICAL), (Condition.CERTIFICATE_EXPIRED, CRITICAL)]),
            (-1.0, [(Condition.CERTIFICATE_EXPIRING, CRITICAL), (Condition.CERTIFICATE_EXPIRED, CRITICAL)]),
        ],
    ):
        end = NOW + timedelta(days=lifetime * left)
        certificate = Certificate(end - timedelta(days=lifetime), end)
        assert [(what, level) for what, level, _ in found(replace(WELL, certificate=certificate))] == levels, (
            lifetime,
            left,
            levels,
        )


def test_an_expiring_certificate_says_until_when() -> None:
    """The detail is the last moment, in UTC."""
    certificate = Certificate(NOW - timedelta(days=80), NOW + timedelta(days=10))
    ((_, _, detail),) = found(replace(WELL, certificate=certificate))
    assert detail == "2026-12-02 12:00 UTC"


def test_a_certificate_without_a_life_breaks_nothing() -> None:
    """Not before equals not after: it has expired, and nothing is divided by zero."""
    alarms = found(replace(WELL, certificate=Certificate(NOW, NOW)))
    assert (Condition.CERTIFICATE_EXPIRED, CRITICAL, "2026-11-22 12:00 UTC") in alarms


def test_a_refused_pair_is_told_with_its_findings() -> None:
    """The words of the TLS code go into the alert, one finding after the other (fault 41)."""
    certificate = Certificate(NOW, NOW + timedelta(days=45), ("a.crt: empty.", "a.key: missing."))
    assert found(replace(WELL, certificate=certificate)) == [
        (Condition.CERTIFICATE_REFUSED, CRITICAL, "a.crt: empty.\na.key: missing.")
    ]


@pytest.mark.parametrize(
    ("age", "usable", "running", "expected"),
    [
        (timedelta(hours=6), True, STARTING, []),
        (timedelta(hours=7), True, STARTING, [(Condition.KEYS_STALE, WARN, "7")]),
        (None, False, STARTING, [(Condition.KEYS_MISSING, CRITICAL, "")]),
        (None, False, timedelta(seconds=1), []),
        (
            timedelta(hours=25),
            False,
            STARTING,
            [(Condition.KEYS_MISSING, CRITICAL, ""), (Condition.KEYS_STALE, WARN, "25")],
        ),
    ],
)
def test_keys(
    age: timedelta | None, usable: bool, running: timedelta, expected: list[tuple[Condition, AlertLevel, str]]
) -> None:
    """Keys not renewed for six hours warn; none at all is critical, but not in the first two minutes (fault 16)."""
    assert found(replace(WELL, keys_age=age, keys_usable=usable, running_for=running)) == expected


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (None, []),
        (timedelta(hours=24), []),
        (timedelta(hours=24) + MOMENT, [(Condition.ADDRESSES_STALE, WARN, "24")]),
        (timedelta(days=3), [(Condition.ADDRESSES_STALE, WARN, "72")]),
    ],
)
def test_addresses(age: timedelta | None, expected: list[tuple[Condition, AlertLevel, str]]) -> None:
    """A list of fal's addresses that was not renewed for a day warns; where no fetched list decides, nothing does."""
    assert found(replace(WELL, addresses_age=age)) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (60, []),
        (-60, []),
        (61, [(Condition.CLOCK_SKEW, WARN, "+61")]),
        (-61, [(Condition.CLOCK_SKEW, WARN, "-61")]),
        (301, [(Condition.CLOCK_SKEW, CRITICAL, "+301")]),
        (-301, [(Condition.CLOCK_SKEW, CRITICAL, "-301")]),
    ],
)
def test_a_clock_that_is_off(seconds: int, expected: list[tuple[Condition, AlertLevel, str]]) -> None:
    """More than a minute off either way warns with the measured offset; beyond four it is critical (fault 15)."""
    assert found(replace(WELL, clock_offset=timedelta(seconds=seconds))) == expected


@pytest.mark.parametrize(("before", "expected"), [(0, ["5"]), (3, ["2"]), (4, ["1"]), (5, []), (6, [])])
def test_foreign_deliveries_count_since_the_last_look(before: int, expected: list[str]) -> None:
    """Only what came since the last look is alarming (fault 20)."""
    assert [detail for _, _, detail in found(replace(WELL, foreign=5), foreign_before=before)] == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (QUIET, []),
        (replace(QUIET, buried_deliveries={"bug": 1}), [(Condition.DELIVERIES_BURIED, WARN, "1 × bug")]),
        (
            replace(QUIET, buried_deliveries={"bug": 1, "not_json": 9}),
            [(Condition.DELIVERIES_BURIED, CRITICAL, "9 × not_json, 1 × bug")],
        ),
        (replace(QUIET, buried_notifications={"bug": 2}), [(Condition.NOTIFICATIONS_BURIED, WARN, "2 × bug")]),
        (replace(QUIET, late_orphans=9), [(Condition.ORPHANS_WAITING, WARN, "9")]),
        (replace(QUIET, late_orphans=10), [(Condition.ORPHANS_WAITING, CRITICAL, "10")]),
        (replace(QUIET, refused_since=NOW), [(Condition.TELEGRAM_REFUSED, CRITICAL, "2026-11-22 12:00 UTC")]),
        (replace(QUIET, oldest_due=NOW - timedelta(minutes=15)), []),
        (replace(QUIET, oldest_due=NOW + timedelta(hours=3)), []),
        (replace(QUIET, oldest_due=NOW - timedelta(minutes=16)), [(Condition.DATABASE_BACKLOG, WARN, "16")]),
        (replace(QUIET, oldest_due=NOW - timedelta(minutes=61)), [(Condition.DATABASE_BACKLOG, CRITICAL, "61")]),
        (replace(QUIET, oldest_owed=NOW - LATE), []),
        (replace(QUIET, oldest_owed=NOW + timedelta(days=1)), []),
        (replace(QUIET, oldest_owed=NOW - LATE - MOMENT), [(Condition.NOTIFICATIONS_LATE, WARN, "2")]),
        (replace(QUIET, oldest_owed=NOW - LATE_CRITICAL - MOMENT), [(Condition.NOTIFICATIONS_LATE, CRITICAL, "24")]),
    ],
)
def test_queues(facts: QueueFacts, expected: list[tuple[Condition, AlertLevel, str]]) -> None:
    """Rows set aside, a token that is refused and a queue that stands still are told with their figures."""
    assert found_in_queues(facts) == expected


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (FailureRate(0, 0, 0, 0), []),
        (FailureRate(20, 2, 200, 12), []),
        (FailureRate(9, 9, 0, 0), []),
        (FailureRate(10, 4, 0, 0), []),
        (FailureRate(20, 6, 200, 12), [(Condition.FAILURES_JUMPED, CRITICAL, "6/20")]),
        (FailureRate(20, 5, 200, 12), []),
        (FailureRate(20, 10, 200, 80), []),
        (FailureRate(20, 20, 200, 80), []),
        (FailureRate(20, 20, 200, 60), [(Condition.FAILURES_JUMPED, CRITICAL, "20/20")]),
        (FailureRate(10, 5, 0, 0), [(Condition.FAILURES_JUMPED, CRITICAL, "5/10")]),
    ],
)
def test_a_jump_of_failures(rate: FailureRate, expected: list[tuple[Condition, AlertLevel, str]]) -> None:
    """Three times the usual share of failures, and a third of the last twenty, is one cause that costs owners money."""
    assert [(alarm.condition, alarm.level, alarm.detail) for alarm in failure_alarms(rate)] == expected


@given(st.dictionaries(st.text("abc_", min_size=1), st.integers(1, 10**6), max_size=12))
def test_counts_by_reason_lose_none(reasons: dict[str, int]) -> None:
    """At most five reasons are spelt out, and all rows are counted."""
    spelt = spell_counts(reasons)
    parts = spelt.split(", ") if spelt else []
    assert len(parts) <= 6
    assert sum(int(part.split(" × ")[0]) for part in parts) == sum(reasons.values())


def test_an_alarm_of_a_machine_carries_its_name() -> None:
    """`condition@machine` where the fact is a machine's own, the bare condition where it is shared."""
    assert Alarm(Condition.CLOCK_SKEW, WARN, machine="web-1").name == "clock_skew@web-1"
    assert Alarm(Condition.DELIVERIES_BURIED, WARN).name == "deliveries_buried"


def test_a_paced_backlog_is_not_late() -> None:
    """Some 100,000 owners told at 25 a second take little more than an hour: nobody is alarmed by that (fault 43)."""
    assert timedelta(seconds=100_000 / 25) < LATE


def test_every_alarm_of_a_machine_names_it() -> None:
    """Whatever is wrong on one of several machines, the operator reads on which."""
    day = timedelta(days=1)
    ill = MachineFacts(
        day, Certificate(NOW - day, NOW, ("tls.broken",)), 2 * day, False, day, 5, 2 * day, "apply: full"
    )
    alarms = list(machine_alarms(ill, "web-1", NOW, foreign_before=0))
    assert {alarm.machine for alarm in alarms} == {"web-1"}
    assert [alarm.condition for alarm in alarms] == [
        Condition.CERTIFICATE_EXPIRING,
        Condition.CERTIFICATE_EXPIRED,
        Condition.CERTIFICATE_REFUSED,
        Condition.KEYS_MISSING,
        Condition.KEYS_STALE,
        Condition.ADDRESSES_STALE,
        Condition.CLOCK_SKEW,
        Condition.STEP_FAILING,
        Condition.FOREIGN_ACCOUNT,
    ]


def test_failing_steps_are_told_by_name() -> None:
    """What does not work, and why, stands in the alert itself."""
    assert found(replace(WELL, failing="apply: full")) == [(Condition.STEP_FAILING, CRITICAL, "apply: full")]
