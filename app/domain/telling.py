"""What becomes of a notification after one try: pure, from what Telegram said."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.notification import NotificationState
from app.domain.sending import (
    Down,
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
TOKEN_PAUSE = timedelta(seconds=60)  # how long sending rests after Telegram refused the token
UNCERTAIN_LIMIT = 2  # sends of unknown outcome per message: silence is worse than one repeat, two are too many


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, the final state that stands for Done, and what else must be remembered.

    `blocked` is the new truth about the owner (None: nothing learnt). `pause_until` closes the chat, or the whole
    bot when `pause_bot`.
    """

    verdict: Verdict
    state: NotificationState = NotificationState.SENT
    message_id: int | None = None
    uncertain: int = 0
    blocked: bool | None = None
    pause_until: datetime | None = None
    pause_bot: bool = False


def judge(
    outcome: SendOutcome, *, failures: int, uncertain: int, owed_since: datetime, now: datetime, jitter: float
) -> Judgement:
    """Turn what Telegram said into what becomes of the notification."""
    match outcome:
        case Sent(message_id):
            return Judgement(Done("sent"), message_id=message_id, uncertain=uncertain, blocked=False)
        case NoToken():
            return Judgement(Done("no_token"), NotificationState.UNSENT, uncertain=uncertain)
        case Unreachable(why, blocked):
            # The words are Telegram's own and hold nothing of ours.
            return Judgement(Bury("owner_unreachable", why), uncertain=uncertain, blocked=True if blocked else None)
        case Rejected(why):
            return Judgement(Bury("rejected", why), uncertain=uncertain)
        case SlowDown(seconds):
            until = now + timedelta(seconds=seconds)
            return Judgement(Retry(until, "slow_down", failed=False), uncertain=uncertain, pause_until=until)
        case TokenRefused():
            until = now + TOKEN_PAUSE
            rest = Retry(until, "token_refused", failed=False)
            return Judgement(rest, uncertain=uncertain, pause_until=until, pause_bot=True)
        case Uncertain(why):
            if uncertain + 1 >= UNCERTAIN_LIMIT:
                return Judgement(Bury("outcome_unknown", why), uncertain=uncertain + 1)
            return Judgement(Retry(now + backoff(failures, jitter), "outcome_unknown"), uncertain=uncertain + 1)
        case Down(why):
            again = wait_out("telegram_down", why, failures=failures, since=owed_since, now=now, jitter=jitter)
            # Others need not find out one by one that Telegram is down, and so keep their order.
            silence = now + min(backoff(failures, jitter), DOWN_PAUSE)
            return Judgement(again, uncertain=uncertain, pause_until=silence, pause_bot=True)
