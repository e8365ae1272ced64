"""What becomes of a notification after one try: pure, from what Telegram said."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.notification import NotificationState
from app.domain.send_outcome import (
    Down,
    NotEditable,
    NoToken,
    NotYet,
    Rejected,
    SendOutcome,
    Sent,
    SlowDown,
    TokenRefused,
    Uncertain,
    Unreachable,
)
from app.domain.verdict import Bury, Done, Retry, Verdict, backoff, wait_out

DOWN_PAUSE = timedelta(seconds=15)  # longest pause between two tries while Telegram is down
DOUBT_PAUSE = timedelta(seconds=30)  # the same after sends of unknown outcome: each counts for UNCERTAIN_LIMIT
TOKEN_PAUSE = timedelta(seconds=60)  # the same after Telegram refused the token; the longest pause of our own choice
UNCERTAIN_LIMIT = 2  # sends of unknown outcome per message: one possible repeat is better than silence, two are not
REPLICA_SKEW = timedelta(
    seconds=5
)  # how far the clocks of replicas may differ, or one be put back, and a rest still hold


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, the final state that stands for Done, and what else must be remembered.

    `images` is how many images this try showed. `blocked` is the new truth about the owner (None: nothing learnt).
    `pause_until` closes the chat, or the whole bot when `pause_bot`; `pause_asked` says that it was Telegram who named
    its end.
    """

    verdict: Verdict
    state: NotificationState = NotificationState.SENT
    message_id: int | None = None
    uncertain: int = 0
    images: int = 0
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
    images_left: int = 0,
) -> Judgement:
    """Turn what Telegram said into what becomes of the notification.

    `silences` is how often in a row Telegram has been tried in vain, this time included: the rests grow with it.
    `images_left` is how many images were still to be shown before this try: each album is a try of its own.
    """
    match outcome:
        case Sent(message_id, _, images):
            sent = _after_sent(images, images_left, now)
            return Judgement(sent, message_id=message_id, uncertain=uncertain, images=images, blocked=False)
        case NoToken():
            return Judgement(Done("no_token"), NotificationState.UNSENT, uncertain=uncertain)
        case Unreachable(why, blocked):
            # `why` is Telegram's own description and holds no text of the message.
            return Judgement(Bury("owner_unreachable", why), uncertain=uncertain, blocked=True if blocked else None)
        case Rejected(why) | NotEditable(why):
            return Judgement(Bury("rejected", why), uncertain=uncertain)
        case SlowDown(seconds):
            until = now + timedelta(seconds=seconds)
            rest = Retry(until, "slow_down", failed=False)
            return Judgement(rest, uncertain=uncertain, pause_until=until, pause_asked=True)
        case NotYet(seconds):
            return Judgement(Retry(now + timedelta(seconds=seconds), "uploads_busy", failed=False), uncertain=uncertain)
        case TokenRefused():
            until = now + TOKEN_PAUSE
            rest = Retry(until, "token_refused", failed=False)
            return Judgement(rest, uncertain=uncertain, pause_until=until, pause_bot=True)
        case Uncertain(why):
            silence = now + min(backoff(silences - 1, jitter), DOUBT_PAUSE)
            is_last = uncertain + 1 >= UNCERTAIN_LIMIT
            again_at = now + backoff(failures, jitter)
            verdict = Bury("outcome_unknown", why) if is_last else Retry(again_at, "outcome_unknown")
            # Telegram may be down for all: pause the bot, for each further try would count towards UNCERTAIN_LIMIT.
            return Judgement(verdict, uncertain=uncertain + 1, pause_until=silence, pause_bot=True)
        case Down(why):
            again = wait_out("telegram_down", why, failures=failures, since=owed_since, now=now, jitter=jitter)
            # Pause the whole bot: no other message need fail to learn that Telegram is down, and the order is kept.
            silence = now + min(backoff(max(failures, silences - 1), jitter), DOWN_PAUSE)
            return Judgement(again, uncertain=uncertain, pause_until=silence, pause_bot=True)


def _after_sent(images: int, images_left: int, now: datetime) -> Verdict:
    """Go on at once with the next album; a text is the whole message."""
    return Retry(now, "more_images", failed=False) if 0 < images < images_left else Done("sent")
