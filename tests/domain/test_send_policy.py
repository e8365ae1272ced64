"""What becomes of a notification after what Telegram said (fault 42)."""

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
from app.domain.send_policy import TOKEN_PAUSE, Judgement, judge
from app.domain.verdict import Bury, Done, Retry
from tests.fakes import START


def judged(outcome: SendOutcome, *, failures: int = 0, uncertain: int = 0, owed_since: datetime = START) -> Judgement:
    return judge(outcome, failures=failures, uncertain=uncertain, owed_since=owed_since, now=START, jitter=0.0)


def test_a_sent_message_is_done_and_the_owner_is_there() -> None:
    """Success records the message id and takes `is_blocked` back."""
    judgement = judged(Sent(7, 42))
    assert (judgement.verdict, judgement.message_id, judgement.blocked) == (Done("sent"), 7, False)


def test_429_waits_exactly_as_long_as_asked() -> None:
    """A 429 is no failure; the chat rests until the very second."""
    until = START + timedelta(seconds=3600)
    judgement = judged(SlowDown(3600))
    assert judgement.verdict == Retry(until, "slow_down", failed=False)
    assert (judgement.pause_until, judgement.pause_bot) == (until, False)


def test_a_blocked_bot_is_final_and_remembered() -> None:
    """403 is terminal, and the owner is marked."""
    judgement = judged(Unreachable("bot was blocked by the user", blocked=True))
    assert isinstance(judgement.verdict, Bury)
    assert judgement.blocked is True


def test_an_unknown_chat_is_final_and_says_nothing_about_blocking() -> None:
    """400 chat not found is terminal; nobody is marked as having blocked the bot."""
    judgement = judged(Unreachable("chat not found", blocked=False))
    assert isinstance(judgement.verdict, Bury)
    assert judgement.blocked is None


def test_a_rejected_message_is_buried() -> None:
    """What Telegram will never take is not tried again."""
    assert judged(Rejected("message is too long")).verdict == Bury("rejected", "message is too long")


def test_a_refused_token_rests_the_whole_bot() -> None:
    """401 stops the sender for a while; no message is lost or counted as failed."""
    judgement = judged(TokenRefused("Unauthorized"), failures=9)
    assert judgement.verdict == Retry(START + TOKEN_PAUSE, "token_refused", failed=False)
    assert judgement.pause_bot


def test_down_is_waited_out_for_two_days() -> None:
    """Nothing was delivered: a day's outage is survived, whatever the tries; two days bury it (fault 43)."""
    assert judged(Down("502"), failures=2).verdict == Retry(START + timedelta(seconds=8), "telegram_down")
    yesterday, earlier = START - timedelta(hours=24), START - timedelta(hours=48)
    assert isinstance(judged(Down("502"), failures=300, owed_since=yesterday).verdict, Retry)
    assert judged(Down("502"), failures=600, owed_since=earlier).verdict == Bury("telegram_down", "502")


def test_an_unknown_outcome_is_tried_once_more_and_counted() -> None:
    """A message that may have been delivered is repeated once, never twice."""
    first = judged(Uncertain("read timeout"))
    assert isinstance(first.verdict, Retry)
    assert first.uncertain == 1
    second = judged(Uncertain("read timeout"), uncertain=1)
    assert second.verdict == Bury("outcome_unknown", "read timeout")
    assert second.uncertain == 2


def test_without_a_token_the_message_stays_visible_as_not_sent() -> None:
    """No token is no success: the state says `unsent`."""
    judgement = judged(NoToken("text"))
    assert (judgement.verdict, judgement.state) == (Done("no_token"), NotificationState.UNSENT)


def test_every_outcome_is_judged_whole() -> None:
    """The verdict, the state, the doubts so far, what was learnt about the owner, and who rests until when."""
    second = timedelta(seconds=1)
    for outcome, expected in (
        (Sent(7, 42), Judgement(Done("sent"), message_id=7, uncertain=1, blocked=False)),
        (NoToken("text"), Judgement(Done("no_token"), NotificationState.UNSENT, uncertain=1)),
        (Unreachable("left", blocked=True), Judgement(Bury("owner_unreachable", "left"), uncertain=1, blocked=True)),
        (Unreachable("no chat", blocked=False), Judgement(Bury("owner_unreachable", "no chat"), uncertain=1)),
        (Rejected("too long"), Judgement(Bury("rejected", "too long"), uncertain=1)),
        (NotEditable("gone"), Judgement(Bury("rejected", "gone"), uncertain=1)),
        (
            SlowDown(30),
            Judgement(
                Retry(START + 30 * second, "slow_down", failed=False),
                uncertain=1,
                pause_until=START + 30 * second,
                pause_asked=True,
            ),
        ),
        (NotYet(2.5), Judgement(Retry(START + 2.5 * second, "uploads_busy", failed=False), uncertain=1)),
        (
            TokenRefused("Unauthorized"),
            Judgement(
                Retry(START + TOKEN_PAUSE, "token_refused", failed=False),
                uncertain=1,
                pause_until=START + TOKEN_PAUSE,
                pause_bot=True,
            ),
        ),
        (
            Down("502"),
            Judgement(
                Retry(START + 4 * second, "telegram_down"), uncertain=1, pause_until=START + 4 * second, pause_bot=True
            ),
        ),
        (
            Uncertain("read timeout"),
            Judgement(
                Bury("outcome_unknown", "read timeout"), uncertain=2, pause_until=START + 2 * second, pause_bot=True
            ),
        ),
    ):
        assert judged(outcome, failures=1, uncertain=1) == expected


def test_a_doubtful_send_is_repeated_after_its_own_failures() -> None:
    """The message waits by how often it failed, the bot by how often Telegram was silent in a row."""
    judgement = judge(
        Uncertain("read timeout"), failures=2, uncertain=0, owed_since=START, now=START, jitter=0.0, silences=3
    )
    eight = START + timedelta(seconds=8)
    assert judgement == Judgement(Retry(eight, "outcome_unknown"), uncertain=1, pause_until=eight, pause_bot=True)


def test_the_rest_of_the_bot_grows_with_silence_up_to_a_bound() -> None:
    """2, 4, 8 seconds, then at most DOUBT_PAUSE after doubts and DOWN_PAUSE while Telegram is down."""

    def rest(outcome: SendOutcome, silences: int, failures: int = 0) -> timedelta:
        judgement = judge(
            outcome, failures=failures, uncertain=0, owed_since=START, now=START, jitter=0.0, silences=silences
        )
        assert judgement.pause_until is not None
        return judgement.pause_until - START

    doubt, down = Uncertain("read timeout"), Down("502")
    assert [rest(doubt, silences).total_seconds() for silences in (1, 2, 3, 4, 5, 9)] == [2, 4, 8, 16, 30, 30]
    assert [rest(down, silences).total_seconds() for silences in (1, 2, 3, 4, 9)] == [2, 4, 8, 15, 15]
    assert rest(down, 1, failures=2) == timedelta(seconds=8)


def test_albums_follow_one_another_at_once() -> None:
    """While images are left the next try is due now and nothing failed; a text, or the last album, is the end."""
    for images, left, verdict in (
        (1, 2, Retry(START, "more_images", failed=False)),
        (10, 45, Retry(START, "more_images", failed=False)),
        (10, 10, Done("sent")),
        (0, 0, Done("sent")),
        (0, 3, Done("sent")),
    ):
        judgement = judge(
            Sent(7, 42, images),
            failures=0,
            uncertain=0,
            owed_since=START,
            now=START,
            jitter=0.0,
            images_left=left,
        )
        assert (judgement.verdict, judgement.images) == (verdict, images)
