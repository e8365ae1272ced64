import pytest
from structlog.testing import capture_logs

from app.domain.alert import Alert, AlertLevel, Condition
from app.domain.message import Message
from app.domain.notification import Cause, Notification, Owner, OwnerMessage, Topic, alert_message
from app.domain.send_outcome import NoToken, SendOutcome, Sent, Uncertain, Unreachable
from app.flows.tell import Tell
from tests.fakes import START, FakeMessenger, FrozenClock

pytestmark = pytest.mark.anyio

IDS = {"avatar_id": "avatar-1", "request_id": "request-1"}
WHY = "400 Bad Request: can't parse entities: byte offset 3"


def note(chat_id: int | None = 42) -> Notification:
    return OwnerMessage("avatar-1", "Лето", "request-1", Topic.FAILED, Owner("owner-1", chat_id, "en"), Cause.TIMEOUT)


async def test_a_message_is_worded_and_sent_to_its_chat() -> None:
    """The owner's chat gets the words of the notification; nothing odd happened, so nothing is logged."""
    heard: list[tuple[int, Message]] = []

    class Listener(FakeMessenger):
        async def send(self, chat_id: int, message: Message) -> SendOutcome:
            heard.append((chat_id, message))
            return Sent(7, chat_id)

    with capture_logs() as logs:
        outcome = await Tell(Listener(), lambda _: Message("<b>a</b>", "a"), FrozenClock())(note())
    assert (outcome, heard, logs) == (Sent(7, 42), [(42, Message("<b>a</b>", "a"))], [])


async def test_an_owner_without_a_chat_id_is_not_asked_for() -> None:
    """An id that is no chat id costs no request and blames nobody."""
    messenger = FakeMessenger()
    outcome = await Tell(messenger, messenger.word, FrozenClock())(note(chat_id=None))
    assert outcome == Unreachable("the owner's stored id is not a chat id", blocked=False)
    assert messenger.sent == []


async def test_without_a_token_the_message_is_logged() -> None:
    """What would have been sent is logged once with its ids."""
    messenger = FakeMessenger([NoToken("Your avatar did not work out")])
    with capture_logs() as logs:
        await Tell(messenger, messenger.word, FrozenClock())(note())
    assert logs == [
        {
            "event": "notification.unsent",
            "log_level": "info",
            **IDS,
            "kind": "failed",
            "text": "Your avatar did not work out",
        }
    ]


@pytest.mark.parametrize("outcome", [Sent(8, 42, misparsed=WHY), Uncertain("closed", misparsed=WHY)])
async def test_html_that_telegram_cannot_read_is_logged_without_its_text(outcome: SendOutcome) -> None:
    """Fault 42: a parse error is our bug, whatever became of the plain text."""
    messenger = FakeMessenger([outcome])
    with capture_logs() as logs:
        await Tell(messenger, messenger.word, FrozenClock())(note())
    assert logs == [
        {"event": "notification.misparsed", "log_level": "error", **IDS, "kind": "failed", "why": WHY},
    ]


@pytest.mark.parametrize(
    ("zone", "hour", "is_silent"),
    [
        ("UTC+5", 17, False),  # 22:00
        ("UTC+5", 18, True),
        ("UTC+5", 2, True),
        ("UTC+5", 3, False),  # 08:00
        ("UTC-3", 2, True),
        ("UTC-3", 12, False),
        ("nowhere", 18, True),  # the bot's default
        ("", 12, False),
    ],
)
async def test_a_result_at_night_comes_at_once_and_without_a_sound(zone: str, hour: int, is_silent: bool) -> None:
    """From 23 to 8 by the owner's clock a message goes out as ever, and wakes nobody."""
    heard: list[Message] = []

    class Listener(FakeMessenger):
        async def send(self, chat_id: int, message: Message) -> SendOutcome:
            heard.append(message)
            return Sent(7, chat_id)

    clock = FrozenClock(START.replace(hour=hour))
    owner = Owner("owner-1", 42, "en", zone)
    message = OwnerMessage("avatar-1", "Лето", "request-1", Topic.READY, owner)
    assert await Tell(Listener(), lambda _: Message("a", "a"), clock)(message) == Sent(7, 42)
    assert heard == [Message("a", "a", is_silent=is_silent)]


async def test_the_operator_is_woken() -> None:
    """An alert has its sound at any hour."""
    heard: list[Message] = []

    class Listener(FakeMessenger):
        async def send(self, chat_id: int, message: Message) -> SendOutcome:
            heard.append(message)
            return Sent(7, chat_id)

    night = FrozenClock(START.replace(hour=20))
    alert = Alert(Condition.KEYS_MISSING, "", AlertLevel.CRITICAL, "", START, START, START)
    message = alert_message(alert, Topic.ALERT, chat_id=42, language="ru")
    await Tell(Listener(), lambda _: Message("a", "a"), night)(message)
    assert heard == [Message("a", "a")]
