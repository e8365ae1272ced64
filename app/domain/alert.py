"""What an operator must look at: how an alert opens, gets worse and is over. Pure.

The table `webhook_alerts` holds one row per name; `follow` says what one more look makes of it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

CALM = timedelta(minutes=5)  # how long a condition must be gone, at every look, before its alert is over
REPEAT = timedelta(hours=1)  # after a message: none about a new opening of the same alert within this time
REPEAT_MOST = timedelta(days=1)  # upper bound of that time for a warning: it doubles with each new opening
RESTED = timedelta(days=1)  # an alert that has been over for this long starts again with `times` 0 and REPEAT
LOST = timedelta(days=1)  # without a look by its machine an alert is closed: the host was renamed or removed


class Condition(StrEnum):
    """What may be wrong; docs/alerts.md explains each."""

    CERTIFICATE_EXPIRING = "certificate_expiring"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_REFUSED = "certificate_refused"
    KEYS_STALE = "keys_stale"
    KEYS_MISSING = "keys_missing"
    ADDRESSES_STALE = "addresses_stale"
    CLOCK_SKEW = "clock_skew"
    FOREIGN_ACCOUNT = "foreign_account"
    STEP_FAILING = "step_failing"
    DELIVERIES_BURIED = "deliveries_buried"
    NOTIFICATIONS_BURIED = "notifications_buried"
    TELEGRAM_REFUSED = "telegram_refused"
    DATABASE_BACKLOG = "database_backlog"
    NOTIFICATIONS_LATE = "notifications_late"
    JOBS_OVERDUE = "jobs_overdue"
    RESULTS_GONE = "results_gone"
    ACCOUNT_LOCKED = "account_locked"
    FAL_KEY_REFUSED = "fal_key_refused"
    FAL_KEY_MISSING = "fal_key_missing"
    ARTIFACT_ABSENT = "artifact_absent"
    DRIFT = "drift"
    POLLER_SEEN = "poller_seen"
    ORPHANS_WAITING = "orphans_waiting"
    FAILURES_JUMPED = "failures_jumped"


class AlertLevel(StrEnum):
    """How bad it is. `warn` will become trouble, `critical` is trouble."""

    WARN = "warn"
    CRITICAL = "critical"

    def outranks(self, other: "AlertLevel | None") -> bool:
        """Tell whether this is worse than `other` (None: no level was ever reported)."""
        return other is None or (self is AlertLevel.CRITICAL and other is AlertLevel.WARN)


REMEDY = {
    Condition.CERTIFICATE_EXPIRING: "aisha-webhook doctor tls",
    Condition.CERTIFICATE_EXPIRED: "aisha-webhook doctor tls",
    Condition.CERTIFICATE_REFUSED: "aisha-webhook doctor tls",
    Condition.KEYS_STALE: "aisha-webhook doctor",
    Condition.KEYS_MISSING: "aisha-webhook doctor",
    Condition.ADDRESSES_STALE: "aisha-webhook doctor",
    Condition.CLOCK_SKEW: "sudo timedatectl set-ntp true",
    Condition.FOREIGN_ACCOUNT: "aisha-webhook config show",
    Condition.STEP_FAILING: "aisha-webhook doctor",
    Condition.DELIVERIES_BURIED: "aisha-webhook deliveries list --state dead",
    Condition.NOTIFICATIONS_BURIED: "aisha-webhook notifications list --state dead",
    Condition.TELEGRAM_REFUSED: "sudo systemctl restart aisha-webhook-api",
    Condition.DATABASE_BACKLOG: "aisha-webhook deliveries list --state pending",
    Condition.NOTIFICATIONS_LATE: "aisha-webhook notifications list --state pending",
    Condition.JOBS_OVERDUE: "aisha-webhook jobs list",
    Condition.RESULTS_GONE: "aisha-webhook jobs list",
    Condition.ACCOUNT_LOCKED: "aisha-webhook doctor",
    Condition.FAL_KEY_REFUSED: "aisha-webhook doctor",
    Condition.FAL_KEY_MISSING: "aisha-webhook config show",
    Condition.ARTIFACT_ABSENT: "aisha-webhook jobs list",
    Condition.DRIFT: "aisha-webhook doctor",
    Condition.POLLER_SEEN: "aisha-webhook doctor",
    Condition.ORPHANS_WAITING: "aisha-webhook deliveries list --state pending",
    Condition.FAILURES_JUMPED: "aisha-webhook jobs list --state done",
}  # what to run first; the words around it are in app/locales


@dataclass(frozen=True, slots=True)
class Alarm:
    """A condition that holds at this look.

    `detail` is a figure or a sentence for the message, without a secret. `machine` is the host it holds on, empty
    where the fact is shared by all of them.
    """

    condition: Condition
    level: AlertLevel
    detail: str = ""
    machine: str = ""

    @property
    def name(self) -> str:
        """The name of its alert, such as `certificate_refused@web-1`."""
        return f"{self.condition}@{self.machine}" if self.machine else self.condition.value


@dataclass(frozen=True, slots=True)
class Alert:
    """What is stored about one alarm, over all looks.

    `seen_at` is the last look at which the condition held, `gone_at` the first at which it did not (None while it
    holds). `told_at` and `told_level` are the last message about an opening, this one or one before; `times` counts
    openings since it last rested for a day. A row that never opened has `times` 0.
    """

    name: str
    machine: str
    level: AlertLevel
    detail: str
    opened_at: datetime
    changed_at: datetime
    seen_at: datetime
    gone_at: datetime | None = None
    resolved_at: datetime | None = None
    told_at: datetime | None = None
    told_level: AlertLevel | None = None
    times: int = 0

    @property
    def condition(self) -> Condition:
        """What is wrong, without the machine."""
        return Condition(self.name.partition("@")[0])

    @property
    def was_told(self) -> bool:
        """Tell whether the operator heard of this opening."""
        return self.told_at is not None and self.told_at >= self.opened_at


class AlertTurn(StrEnum):
    """What a look changed, worth a line in the log."""

    OPENED = "opened"
    WORSENED = "worsened"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class AlertStep:
    """What one look makes of an alert: the row to write, the turn it took (if any), and whether to send a message."""

    alert: Alert
    turn: AlertTurn | None = None
    tell: bool = False


def unopened(alarm: Alarm, now: datetime) -> Alert:
    """Make the row of an alarm that was never seen before, as if it had just been over."""
    return Alert(alarm.name, alarm.machine, alarm.level, alarm.detail, now, now, now, resolved_at=now)


def follow(alert: Alert, alarm: Alarm | None, now: datetime, *, may_tell: bool) -> AlertStep | None:
    """Take one more look at an alert; None when nothing is to be written.

    `alarm` is its condition at this look, None where it does not hold. Without `may_tell` (nobody to tell) nothing
    counts as told, so that an operator who appears later hears of what is still open.
    """
    if alarm is None:
        return _calm_down(alert, now)
    if alert.resolved_at is not None:
        opened = replace(
            alert,
            level=alarm.level,
            detail=alarm.detail,
            opened_at=now,
            changed_at=now,
            seen_at=now,
            gone_at=None,
            resolved_at=None,
            told_at=None if alert.told_at is not None and alert.told_at > now else alert.told_at,  # a clock went back
            times=1 if now - alert.resolved_at >= RESTED else alert.times + 1,
        )
        return _tell(opened, AlertTurn.OPENED, now, may_tell=may_tell)
    seen = replace(
        alert,
        level=alarm.level,
        detail=alarm.detail,
        changed_at=alert.changed_at if alarm.level is alert.level else now,
        seen_at=now,
        gone_at=None,
    )
    worse = alarm.level.outranks(alert.level)
    return _tell(seen, AlertTurn.WORSENED if worse else None, now, may_tell=may_tell)


def close(alert: Alert, now: datetime) -> AlertStep:
    """End an alert; the operator hears of the end if they heard of the beginning."""
    return AlertStep(replace(alert, resolved_at=now, changed_at=now), AlertTurn.RESOLVED, tell=alert.was_told)


def _calm_down(alert: Alert, now: datetime) -> AlertStep | None:
    if alert.resolved_at is not None:
        return None
    if alert.gone_at is None or alert.gone_at > now:  # the latter after the clock stepped back
        return AlertStep(replace(alert, gone_at=now))
    return close(alert, now) if now - alert.gone_at >= CALM else None


def _tell(alert: Alert, turn: AlertTurn | None, now: datetime, *, may_tell: bool) -> AlertStep:
    if not (may_tell and _is_owed(alert, now)):
        return AlertStep(alert, turn)
    return AlertStep(replace(alert, told_at=now, told_level=alert.level), turn, tell=True)


def _is_owed(alert: Alert, now: datetime) -> bool:
    """Tell whether the operator must hear: of a new opening unless they heard of one lately, and of anything worse.

    Whoever can cause an alert could cause one every few minutes, so a warning that comes and goes is told ever more
    rarely. What comes and stays, and trouble, is told within the hour.
    """
    if alert.told_at is None or alert.level.outranks(alert.told_level):
        return True
    if alert.was_told:
        return False
    heard, lasts = now - alert.told_at, now - alert.opened_at
    is_plain = lasts >= REPEAT or alert.level is AlertLevel.CRITICAL
    silence = REPEAT if is_plain else min(REPEAT * 2 ** min(max(alert.times - 2, 0), 5), REPEAT_MOST)
    return not timedelta(0) <= heard < silence
