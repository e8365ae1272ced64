"""After a send of unknown outcome Telegram is asked something harmless first (faults 42 and 43)."""

import pytest

from app.domain.send_outcome import Down, SendOutcome, Sent, SlowDown, TokenRefused, Uncertain
from tests.bot_api import CUT, HANG, BotApi, bot_api, no, ok
from tests.telegram.test_sender import CHAT, MESSAGE, messenger

pytestmark = pytest.mark.anyio

NO_TEXT = no(400, "Bad Request: message text is empty")


async def outcomes_of(*answers: tuple[int, bytes], sends: int) -> tuple[list[SendOutcome], BotApi]:
    async with bot_api(*answers) as api, messenger(api.url) as telegram:
        return [await telegram.send(CHAT, MESSAGE) for _ in range(sends)], api


def texts(api: BotApi) -> list[bool]:
    """Which requests carried a text."""
    return [form["text"] != "" for _, form in api.asked]


async def test_an_outage_without_a_word_costs_one_send_its_outcome() -> None:
    """While nothing is answered only questions go out: what follows is Down, so nothing was delivered (fault 43)."""
    outcomes, api = await outcomes_of(CUT, CUT, (504, b"<html>"), (502, b"<html>"), NO_TEXT, ok(9), ok(10), sends=6)
    assert isinstance(outcomes[0], Uncertain)
    assert [type(outcome) for outcome in outcomes[1:4]] == [Down, Down, Down]
    assert outcomes[4:] == [Sent(9, CHAT), Sent(10, CHAT)]
    assert texts(api) == [True, False, False, False, False, True, True]


async def test_a_question_that_hangs_is_no_send_of_unknown_outcome() -> None:
    """It carried no text, so whatever becomes of it nobody was told anything (fault 42)."""
    async with bot_api(CUT, HANG) as api, messenger(api.url) as telegram:
        await telegram.send(CHAT, MESSAGE)
        telegram._deadline = 0.5
        assert await telegram.send(CHAT, MESSAGE) == Down("Telegram does not answer")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (no(429, "Too Many Requests", retry_after=30), SlowDown(30.0)),
        (no(401, "Unauthorized"), TokenRefused("401 Unauthorized")),
    ],
)
async def test_what_the_question_is_told_holds_for_the_message(
    answer: tuple[int, bytes], expected: SendOutcome
) -> None:
    """A 429 or a refused token is obeyed, without a send that would meet it again (fault 42)."""
    outcomes, api = await outcomes_of(CUT, answer, sends=2)
    assert outcomes[1] == expected
    assert texts(api) == [True, False]


async def test_without_doubt_nothing_is_asked() -> None:
    """Where Telegram answers, whatever it says, a send is one request."""
    _, api = await outcomes_of(ok(), no(400, "Bad Request: chat not found"), (502, b"<html>"), ok(), sends=4)
    assert texts(api) == [True] * 4


async def test_a_send_that_is_lost_again_brings_the_doubt_back() -> None:
    """The question is answered and the send is not: the next one asks again."""
    outcomes, api = await outcomes_of(CUT, NO_TEXT, CUT, NO_TEXT, ok(9), sends=3)
    assert [type(outcome) for outcome in outcomes] == [Uncertain, Uncertain, Sent]
    assert texts(api) == [True, False, True, False, True]


async def test_an_edit_is_not_asked_about_and_its_loss_brings_the_doubt() -> None:
    """An edit may be repeated without harm; the send after one that was lost asks first (fault 42)."""
    async with bot_api(CUT, CUT, NO_TEXT, ok(9)) as api, messenger(api.url) as telegram:
        assert isinstance(await telegram.edit(CHAT, 9, MESSAGE), Uncertain)
        assert isinstance(await telegram.edit(CHAT, 9, MESSAGE), Uncertain)
        assert await telegram.send(CHAT, MESSAGE) == Sent(9, CHAT)
    assert texts(api) == [True, True, False, True]
