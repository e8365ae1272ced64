"""Which facts are alarming: pure, from what one look saw."""

from collections.abc import Iterator
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

    Rows set aside; since when the longest overdue delivery is due; since when Telegram refuses us; since when the owner
    who has waited longest is to be told.
    """

    buried_deliveries: int
    buried_notifications: int
    oldest_due: datetime | None
    refused_since: datetime | None
    oldest_owed: datetime | None


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
    for condition, count in (
        (Condition.DELIVERIES_BURIED, facts.buried_deliveries),
        (Condition.NOTIFICATIONS_BURIED, facts.buried_notifications),
    ):
        if count:
            yield Alarm(condition, AlertLevel.CRITICAL if count >= MANY_BURIED else AlertLevel.WARN, str(count))
    if facts.refused_since is not None:
        since = f"{facts.refused_since:%Y-%m-%d %H:%M} UTC"
        yield Alarm(Condition.TELEGRAM_REFUSED, AlertLevel.CRITICAL, since)
    if facts.oldest_due is not None and (late := now - facts.oldest_due) > BACKLOG:
        level = AlertLevel.CRITICAL if late > BACKLOG_CRITICAL else AlertLevel.WARN
        yield Alarm(Condition.DATABASE_BACKLOG, level, str(int(late / timedelta(minutes=1))))
    if facts.oldest_owed is not None and (late := now - facts.oldest_owed) > LATE:
        level = AlertLevel.CRITICAL if late > LATE_CRITICAL else AlertLevel.WARN
        yield Alarm(Condition.NOTIFICATIONS_LATE, level, str(int(late / timedelta(hours=1))))
