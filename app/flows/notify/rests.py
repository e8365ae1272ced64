"""Pauses in sending, per chat or for the whole bot, as this process knows them: asked for by Telegram or our own."""

from dataclasses import replace
from datetime import datetime, timedelta

from app.domain.send_outcome import Down, SendOutcome, Uncertain
from app.domain.send_policy import REPLICA_SKEW, Judgement

SAME_FLOOD = timedelta(seconds=10)  # two chats slowed down within this time mean the whole bot


class Rests:
    """Until when nothing may be sent to a chat, or to any; messages that already have their slot are held back, too.

    A rest does not hold before the moment at which it was noted: one that was set while the clock was ahead ends as
    soon as the clock is put right.
    """

    def __init__(self) -> None:
        self._rests: dict[int | None, tuple[datetime, datetime]] = {}  # noted, ends; None stands for everybody
        self._slowed: dict[int | None, datetime] = {}  # chats that were told to slow down lately, and when
        self._silences = 0

    def hear(self, outcome: SendOutcome, now: datetime) -> int:
        """Count how often in a row Telegram was tried in vain; sends that were under way together count as one."""
        if not isinstance(outcome, Down | Uncertain):
            self._silences = 0
        elif self.ends(None, now) is None:
            self._silences += 1
        return self._silences

    def is_silent(self) -> bool:
        """Tell whether the last try was in vain: Telegram is down, or its answer did not come."""
        return self._silences > 0

    def note(self, judgement: Judgement, chat_id: int | None, now: datetime) -> Judgement:
        """Remember the rest that a judgement asks for, and return the judgement with the rest as wide as it is.

        Two chats that were told to slow down mean the whole bot: Telegram's answer does not say which it is. It rests
        as long as the second one must; the first keeps its own wait, which may be a group's alone.
        """
        until = judgement.pause_until
        if until is None:
            return judgement
        if judgement.pause_asked:
            self._slowed = {chat: at for chat, at in self._slowed.items() if _lately(at, now)}
            self._slowed[chat_id] = now
            if len(self._slowed) > 1:
                judgement = replace(judgement, pause_bot=True)
        self._rest(None if judgement.pause_bot else chat_id, until, now)
        return judgement

    def ends(self, chat_id: int | None, now: datetime) -> datetime | None:
        """Tell until when a chat (None: everybody) must rest; None when it need not."""
        noted, end = self._rests.get(chat_id, (now, now))
        return end if noted - REPLICA_SKEW <= now < end else None

    def _rest(self, chat_id: int | None, until: datetime, now: datetime) -> None:
        self._rests = {chat: rest for chat, rest in self._rests.items() if self.ends(chat, now) is not None}
        _, end = self._rests.get(chat_id, (now, until))
        self._rests[chat_id] = (now, max(end, until))


def _lately(at: datetime, now: datetime) -> bool:
    return abs(now - at) < SAME_FLOOD
