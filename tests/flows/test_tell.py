import pytest
from structlog.testing import capture_logs

from app.domain.message import Message
from app.domain.notification import Cause, Notification, Owner, OwnerMessage, Topic
from app.domain.send_outcome import NoToken, SendOutcome, Sent, Uncertain, Unreachable
from app.flows.tell import Tell
from tests.fakes import FakeMessenger

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
        outcome = await Tell(Listener(), lambda _: Message("<b>a</b>", "a"))(note())
    assert (outcome, heard, logs) == (Sent(7, 42), [(42, Message("<b>a</b>", "a"))], [])


async def test_an_owner_without_a_chat_id_is_not_asked_for() -> None:
    """An id that is no chat id costs no request and blames nobody."""
    messenger = FakeMessenger()
    outcome = await Tell(messenger, messenger.word)(note(chat_id=None))
    assert outcome == Unreachable("the owner's stored id is not a chat id", blocked=False)
    assert messenger.sent == []


async def test_without_a_token_the_message_is_logged() -> None:
    """What would have been sent is logged once with its ids."""
    messenger = FakeMessenger([NoToken("Your avatar did not work out")])
    with capture_logs() as logs:
        await Tell(messenger, messenger.word)(note())
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
        await Tell(messenger, messenger.word)(note())
    assert logs == [
        {"event": "notification.misparsed", "log_level": "error", **IDS, "kind": "failed", "why": WHY},
    ]
