"""Which facts are alarming: pure, from what one look saw."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.alert import Alarm, AlertLevel, Condition

# Fractions of a certificate's lifetime, not days: lifetimes shrink (90, 64, 45 days). ACME clients renew at 1/3.
WARN_LEFT = 1 / 3
CRITICAL_LEFT = 1 / 6
KEYS_STALE_AFTER = timedelta(hours=6)  # fal's keys are fetched every hour and may be used for a day
ADDRESSES_STALE_AFTER = timedelta(hours=24)  # the list is fetched every hour; an address it lacks is refused
CLOCK_SKEW = timedelta(seconds=60)  # difference between our clock and fal's from which the operator is warned
CLOCK_SKEW_CRITICAL = timedelta(seconds=240)  # deliveries are refused at 300 s
BACKLOG = timedelta(minutes=15)
BACKLOG_CRITICAL = timedelta(hours=1)
LATE = timedelta(hours=2)  # an owner's wait for a message; 100,000 messages at 25/s take little over one hour
LATE_CRITICAL = timedelta(hours=24)
MANY_BURIED = 10
SHOWN_REASONS = 5  # in one alert
ORPHAN_LATE = timedelta(minutes=15)  # the bot writes a request id within seconds; fal keeps results for about an hour
RECENT, BEFORE = 20, 200  # ended trainings whose failures are compared
FEWEST_RECENT, FEWEST_FAILED = 10, 5
JUMP = 3  # times the share of failures before, from which on something has changed
HIGH_SHARE = 0.3  # of the recent ones, at least: one of four is nothing new where one of ten fails
STARTING = timedelta(minutes=2)  # a process that just began has not had the time to fetch keys


@dataclass(frozen=True, slots=True)
class Certificate:
    """The certificate now served, and the findings about a newer pair that was refused."""

    not_before: datetime
    not_after: datetime
    trouble: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What one machine knows of itself.

    `certificate` is None on plain HTTP. `keys_age` is the age of fal's keys, None when none were ever fetched;
    `keys_usable` tells whether a signature can be judged. `clock_offset` is how far our clock is ahead of fal's
    (negative: behind), None while unmeasured. `foreign` counts deliveries for other accounts since the start of the
    process. `addresses_age` is the age of fal's list of addresses, or how long none could be fetched; None where no
    fetched list decides. `failing` names the steps that fail again and again, and why, without those that alerts
    themselves need; empty where none does. No field has a default: a rule whose fact nobody gathers would never alarm.
    """

    running_for: timedelta
    certificate: Certificate | None
    keys_age: timedelta | None
    keys_usable: bool
    clock_offset: timedelta | None
    foreign: int
    addresses_age: timedelta | None
    failing: str


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """What the shared database knows.

    Rows set aside, by reason; since when the longest overdue delivery is due; since when Telegram refuses us; since
    when the owner who has waited longest is to be told; deliveries that have had no row of the bot's for ORPHAN_LATE.
    """

    buried_deliveries: Mapping[str, int]
    buried_notifications: Mapping[str, int]
    oldest_due: datetime | None
    refused_since: datetime | None
    oldest_owed: datetime | None
    late_orphans: int


@dataclass(frozen=True, slots=True)
class FailureRate:
    """How many of the trainings that ended last have failed, and of those before them."""

    recent: int
    recent_failed: int
    before: int
    before_failed: int


def machine_alarms(facts: MachineFacts, machine: str, now: datetime, *, foreign_before: int) -> Iterator[Alarm]:
    """Name what is wrong on one machine; `foreign_before` is the count of foreign deliveries at the look before."""
    if facts.certificate is not None:
        yield from _certificate_alarms(facts.certificate, machine, now)
    if not facts.keys_usable and facts.running_for >= STARTING:
        yield Alarm(Condition.KEYS_MISSING, AlertLevel.CRITICAL, machine=machine)
    if facts.keys_age is not None and facts.keys_age > KEYS_STALE_AFTER:
        hours = int(facts.keys_age / timedelta(hours=1))
        yield Alarm(Condition.KEYS_STALE, AlertLevel.WARN, str(hours), machine)
    if facts.addresses_age is not None and facts.addresses_age > ADDRESSES_STALE_AFTER:
        hours = int(facts.addresses_age / timedelta(hours=1))
        yield Alarm(Condition.ADDRESSES_STALE, AlertLevel.WARN, str(hours), machine)
    if facts.clock_offset is not None and abs(facts.clock_offset) > CLOCK_SKEW:
        level = AlertLevel.CRITICAL if abs(facts.clock_offset) > CLOCK_SKEW_CRITICAL else AlertLevel.WARN
        yield Alarm(Condition.CLOCK_SKEW, level, f"{facts.clock_offset.total_seconds():+.0f}", machine)
    if facts.failing:
        yield Alarm(Condition.STEP_FAILING, AlertLevel.CRITICAL, facts.failing, machine)
    if (foreign := facts.foreign - foreign_before) > 0:
        yield Alarm(Condition.FOREIGN_ACCOUNT, AlertLevel.WARN, str(foreign), machine)


def _certificate_alarms(certificate: Certificate, machine: str, now: datetime) -> Iterator[Alarm]:
    end = f"{certificate.not_after:%Y-%m-%d %H:%M} UTC"
    lifetime = certificate.not_after - certificate.not_before
    left = (certificate.not_after - now) / max(lifetime, timedelta(seconds=1))
    if left <= WARN_LEFT:
        level = AlertLevel.CRITICAL if left <= CRITICAL_LEFT else AlertLevel.WARN
        yield Alarm(Condition.CERTIFICATE_EXPIRING, level, end, machine)
    if left <= 0:
        yield Alarm(Condition.CERTIFICATE_EXPIRED, AlertLevel.CRITICAL, end, machine)
    if certificate.trouble:
        yield Alarm(Condition.CERTIFICATE_REFUSED, AlertLevel.CRITICAL, "\n".join(certificate.trouble), machine)


def queue_alarms(facts: QueueFacts, now: datetime) -> Iterator[Alarm]:
    """Name what is wrong in the shared database."""
    for condition, reasons in (
        (Condition.DELIVERIES_BURIED, facts.buried_deliveries),
        (Condition.NOTIFICATIONS_BURIED, facts.buried_notifications),
    ):
        if count := sum(reasons.values()):
            level = AlertLevel.CRITICAL if count >= MANY_BURIED else AlertLevel.WARN
            yield Alarm(condition, level, spell_counts(reasons))
    if facts.late_orphans:
        level = AlertLevel.CRITICAL if facts.late_orphans >= MANY_BURIED else AlertLevel.WARN
        yield Alarm(Condition.ORPHANS_WAITING, level, str(facts.late_orphans))
    if facts.refused_since is not None:
        since = f"{facts.refused_since:%Y-%m-%d %H:%M} UTC"
        yield Alarm(Condition.TELEGRAM_REFUSED, AlertLevel.CRITICAL, since)
    if facts.oldest_due is not None and (late := now - facts.oldest_due) > BACKLOG:
        level = AlertLevel.CRITICAL if late > BACKLOG_CRITICAL else AlertLevel.WARN
        yield Alarm(Condition.DATABASE_BACKLOG, level, str(int(late / timedelta(minutes=1))))
    if facts.oldest_owed is not None and (late := now - facts.oldest_owed) > LATE:
        level = AlertLevel.CRITICAL if late > LATE_CRITICAL else AlertLevel.WARN
        yield Alarm(Condition.NOTIFICATIONS_LATE, level, str(int(late / timedelta(hours=1))))


def failure_alarms(rate: FailureRate) -> Iterator[Alarm]:
    """Tell when far more trainings fail than before: as a rule one cause is behind it, which costs owners money."""
    if rate.recent < FEWEST_RECENT or rate.recent_failed < FEWEST_FAILED:
        return
    share = rate.recent_failed / rate.recent
    before = rate.before_failed / rate.before if rate.before >= RECENT else 0.0
    if share >= max(HIGH_SHARE, JUMP * before):
        yield Alarm(Condition.FAILURES_JUMPED, AlertLevel.CRITICAL, f"{rate.recent_failed}/{rate.recent}")


def spell_counts(reasons: Mapping[str, int]) -> str:
    """Spell counts by reason, most first.

    >>> spell_counts({"orphan": 1, "not_json": 2})
    '2 × not_json, 1 × orphan'
    """
    ordered = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [f"{count} × {reason}" for reason, count in ordered[:SHOWN_REASONS]]
    rest = sum(count for _, count in ordered[SHOWN_REASONS:])
    return ", ".join([*shown, f"{rest} × …"] if rest else shown)
