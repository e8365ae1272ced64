"""The alert for when alerts have no way: a failing `watch` or `notify` is told without the database.

Which steps are told here and which by `watch` is settled by their names (`TELLING`), so that nothing is told by both.
"""

import asyncio
import fcntl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import structlog

from app.catalog import translate
from app.domain.alert import Alarm, Alert, AlertLevel, AlertStep, AlertTurn, Condition, follow, unopened
from app.domain.language import Language
from app.domain.notification import Notification, Topic, alert_message
from app.domain.send_outcome import NoToken, SendOutcome, Sent, Uncertain
from app.domain.steps import TELLING, list_steps
from app.files.atomic_write import put
from app.flows.ports import Clock
from app.flows.steps import Steps
from app.flows.watch import OperatorChat, report

AFTER = timedelta(seconds=60)  # since the first failure: a restart of the database is no news

log = structlog.get_logger(__name__)


@dataclass(eq=False, repr=False, slots=True)
class DirectAlerts:
    """One alert about the alerts' own way, sent past the outbox; its state lies in a file that replicas here share.

    It opens, is over and is told by the same rules as all others. The file is written before the message is sent: after
    a crash between the two, or a send of unknown outcome, nothing is sent again. What Telegram certainly did not take
    is tried at the next look.
    """

    steps: Steps
    tell: Callable[[Notification], Awaitable[SendOutcome]]
    clock: Clock
    _: KW_ONLY
    machine: str
    chat: OperatorChat | None
    memory: Path
    _kept: Alert | None = field(default=None, init=False)  # what the file should hold
    _is_stored: bool = field(default=True, init=False)

    async def __call__(self) -> None:
        """Look once."""
        now = self.clock.now()
        alarm = self._alarm(now)
        if alarm is None and self._kept is None and not self.memory.exists():
            return
        before, step = await asyncio.to_thread(self._advance, alarm, now)
        if step is None:
            return
        if step.turn is not None:
            report(step)
        if step.tell and not await self._send(step):
            await asyncio.to_thread(self._take_back, before, step)

    def _alarm(self, now: datetime) -> Alarm | None:
        failing = self.steps.failing()
        if not any(trouble.step in TELLING and now - trouble.since >= AFTER for trouble in failing):
            return None
        language: Language = "en" if self.chat is not None and self.chat.language == "en" else "ru"
        own_first = sorted(failing, key=lambda trouble: trouble.step not in TELLING)
        return Alarm(
            Condition.STEP_FAILING,
            AlertLevel.CRITICAL,
            list_steps(own_first, partial(translate, language=language)),
            self.machine,
        )

    def _advance(self, alarm: Alarm | None, now: datetime) -> tuple[Alert | None, AlertStep | None]:
        """Take one look at the stored alert and store what it makes of it."""
        with self._locked():
            before = self._load()
            if before is None and alarm is None:
                return None, None
            start = before if before is not None else unopened(alarm, now) if alarm is not None else None
            assert start is not None, "either of them is there"
            step = follow(start, alarm, now, may_tell=self.chat is not None)
            if step is not None:
                self._store(step.alert)
            return before, step

    def _take_back(self, before: Alert | None, step: AlertStep) -> None:
        """Store that it was not told: an opening stays open and untold, an end has not come yet."""
        if step.turn is AlertTurn.RESOLVED and before is not None:
            undone = before
        else:
            told = (None, None) if before is None else (before.told_at, before.told_level)
            undone = replace(step.alert, told_at=told[0], told_level=told[1])
        with self._locked():
            self._store(undone)

    async def _send(self, step: AlertStep) -> bool:
        """Send; tell whether the message may have arrived, or never will."""
        if self.chat is None:
            return True
        topic = Topic.RESOLVED if step.turn is AlertTurn.RESOLVED else Topic.ALERT
        message = alert_message(step.alert, topic, chat_id=self.chat.id, language=self.chat.language)
        outcome = await self.tell(message)
        if isinstance(outcome, Sent | Uncertain | NoToken):
            return True
        log.warning("alert.not_sent", alert=step.alert.name, outcome=type(outcome).__name__)
        return False

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes of this machine out; where the folder takes no file, each process is on its own."""
        try:
            self.memory.parent.mkdir(parents=True, exist_ok=True)
            file = self.memory.with_suffix(".lock").open("w")
        except OSError:
            yield
            return
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _load(self) -> Alert | None:
        if not self._is_stored:
            return self._kept
        try:
            found = _read(orjson.loads(self.memory.read_bytes()))
        except FileNotFoundError:
            return self._kept
        except (OSError, ValueError, KeyError, TypeError):  # unreadable: what this process knows is better than nothing
            return self._kept
        return found if found.machine == self.machine else self._kept

    def _store(self, alert: Alert) -> None:
        self._kept, self._is_stored = alert, False
        with suppress(OSError):  # a full disk must not keep the alert back; this process still knows
            put(self.memory, orjson.dumps(asdict(alert)))
            self._is_stored = True


def _read(kept: dict[str, Any]) -> Alert:
    moments = {
        name: None if kept[name] is None else datetime.fromisoformat(kept[name])
        for name in ("opened_at", "changed_at", "seen_at", "gone_at", "resolved_at", "told_at")
    }
    told_level = None if kept["told_level"] is None else AlertLevel(kept["told_level"])
    read: dict[str, Any] = {**kept, **moments, "level": AlertLevel(kept["level"]), "told_level": told_level}
    return Alert(**read)
