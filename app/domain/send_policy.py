"""What becomes of a notification after one try: pure, from what Telegram said."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.domain.notification import NotificationState
from app.domain.send_outcome import (
    Down,
    NotEditable,
    NoToken,
    Rejected,
    SendOutcome,
    Sent,
    SlowDown,
    TokenRefused,
    Uncertain,
    Unreachable,
)
from app.domain.verdict import Bury, Done, Retry, Verdict, backoff, wait_out

DOWN_PAUSE = timedelta(seconds=15)  # how long sending rests at most before somebody tries whether Telegram is back
DOUBT_PAUSE = timedelta(seconds=30)  # the same where each such try costs a message one of its two
TOKEN_PAUSE = timedelta(seconds=60)  # the same after Telegram refused the token; no rest of ours is longer
UNCERTAIN_LIMIT = 2  # sends of unknown outcome per message: silence is worse than one repeat, two are too many
REPLICA_SKEW = timedelta(
    seconds=5
)  # how far the clocks of replicas may differ, or one be put back, and a rest still hold
SAME_FLOOD = timedelta(seconds=10)  # two chats slowed down within this time mean the whole bot


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, the final state that stands for Done, and what else must be remembered.

    `blocked` is the new truth about the owner (None: nothing learnt). `pause_until` closes the chat, or the whole
    bot when `pause_bot`; `pause_asked` says that it was Telegram who named its end.
    """

    verdict: Verdict
    state: NotificationState = NotificationState.SENT
    message_id: int | None = None
    uncertain: int = 0
    blocked: bool | None = None
    pause_until: datetime | None = None
    pause_bot: bool = False
    pause_asked: bool = False


def judge(
    outcome: SendOutcome,
    *,
    failures: int,
    uncertain: int,
    owed_since: datetime,
    now: datetime,
    jitter: float,
    silences: int = 1,
) -> Judgement:
    """Turn what Telegram said into what becomes of the notification.

    `silences` is how often in a row Telegram has been tried in vain, this time included: the rests grow with it.
    """
    match outcome:
        case Sent(message_id):
            return Judgement(Done("sent"), message_id=message_id, uncertain=uncertain, blocked=False)
        case NoToken():
            return Judgement(Done("no_token"), NotificationState.UNSENT, uncertain=uncertain)
        case Unreachable(why, blocked):
            # The words are Telegram's own and hold nothing of ours.
            return Judgement(Bury("owner_unreachable", why), uncertain=uncertain, blocked=True if blocked else None)
        case Rejected(why) | NotEditable(why):
            return Judgement(Bury("rejected", why), uncertain=uncertain)
        case SlowDown(seconds):
            until = now + timedelta(seconds=seconds)
            rest = Retry(until, "slow_down", failed=False)
            return Judgement(rest, uncertain=uncertain, pause_until=until, pause_asked=True)
        case TokenRefused():
            until = now + TOKEN_PAUSE
            rest = Retry(until, "token_refused", failed=False)
            return Judgement(rest, uncertain=uncertain, pause_until=until, pause_bot=True)
        case Uncertain(why):
            silence = now + min(backoff(silences - 1, jitter), DOUBT_PAUSE)
            verdict: Verdict = Retry(now + backoff(failures, jitter), "outcome_unknown")
            if uncertain + 1 >= UNCERTAIN_LIMIT:
                verdict = Bury("outcome_unknown", why)
            # Telegram may be away for everybody, and each send that finds out for itself has lost one of its two.
            return Judgement(verdict, uncertain=uncertain + 1, pause_until=silence, pause_bot=True)
        case Down(why):
            again = wait_out("telegram_down", why, failures=failures, since=owed_since, now=now, jitter=jitter)
            # Others need not find out one by one that Telegram is down, and so keep their order.
            silence = now + min(backoff(max(failures, silences - 1), jitter), DOWN_PAUSE)
            return Judgement(again, uncertain=uncertain, pause_until=silence, pause_bot=True)


class Rests:
    """Who must not be written to before when, as one process learnt it: it stops what has its slot already, too.

    A rest holds from the moment it was noted on, so that one which a clock ahead of time set ends when that clock is
    put right.
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
        """Tell whether Telegram's last word is still awaited."""
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
