"""From a stored delivery of the second kind to its messages, on both databases, with the network faked."""

from collections.abc import AsyncIterator
from typing import cast

import pytest

from app.db import inbox
from app.db.engine import Database
from app.db.generations import Generations
from app.db.registered_jobs import Registration, register
from app.db.tables import jobs
from app.db.trainings import BotTables
from app.domain.job import JobKind
from app.domain.notification import Cause, OwnerMessage, Topic
from app.domain.send_outcome import Down, NotYet, SendOutcome, Sent, SlowDown, Uncertain
from app.fal.authenticate import Authenticator
from app.flows.kinds import generation
from app.twins import bodies
from tests.factories import BotOfImages, delivery, empty_ok_body, result_answer
from tests.fakes import FrozenClock
from tests.flows.conftest import House, kinds_of, open_house

pytestmark = pytest.mark.anyio

CHAT = 42


@pytest.fixture
async def house(database: Database, bot_tables: BotTables, clock: FrozenClock) -> AsyncIterator[House]:
    """Both kinds, as the server has them; one person whom the bot knows."""
    BotOfImages(database).meet(CHAT)
    with database.engine.connect() as connection:
        subjects = Generations.find(connection)
    kinds = (*kinds_of(bot_tables), generation(cast("Authenticator", None), subjects))
    async with open_house(database, bot_tables, clock, kinds) as house:
        yield house


def on_record(house: House, request_id: str = "r1", endpoint: str = "fal-ai/flux-lora") -> None:
    job = Registration(request_id, JobKind.GENERATION, endpoint, chat_id=CHAT)
    with house.database.engine.begin() as transaction:
        register(transaction, job, now=house.clock.at, due_at=house.clock.at)


def deliver(house: House, body: bytes, request_id: str = "r1") -> None:
    sent = delivery(request_id, body, house.clock.at)._replace(kind=JobKind.GENERATION)
    with house.database.engine.begin() as transaction:
        inbox.put(transaction, [(sent, house.clock.at)])


def told(house: House) -> list[OwnerMessage]:
    return [message for message in house.messenger.sent if isinstance(message, OwnerMessage)]


def shown(house: House) -> list[tuple[str, ...]]:
    """The albums that were offered, one after the other; an empty one for links alone."""
    owed = [message.images for message in told(house)]
    return [() if one is None or one.is_in_doubt else one.next_album for one in owed]


def job_row(house: House) -> tuple[str, str | None]:
    with house.database.engine.connect() as connection:
        row = connection.execute(jobs.select()).one()
    return row.state, row.outcome


async def turns(house: House, most: int = 9) -> None:
    """Tell until nothing is due, the clock moving on between."""
    for _ in range(most):
        await house.tell()
        house.clock.move(30)


async def test_an_album_is_owed_once(house: House) -> None:
    """Four images in one delivery, again, and with other words: one message of four, and the job has ended."""
    on_record(house)
    deliver(house, bodies.success("r1", bodies.images("r1", 4)))
    deliver(house, bodies.success("r1", bodies.images("r1", 4), gateway_request_id="other"))
    await house.apply()
    house.messenger.outcomes = [Sent(7, CHAT, 4)]
    await turns(house)
    [message] = told(house)
    assert (message.topic, message.owner.chat_id) == (Topic.IMAGES, CHAT)
    assert [len(album) for album in shown(house)] == [4]
    assert job_row(house) == ("done", "completed")


async def test_more_than_ten_go_as_albums_in_turn(house: House) -> None:
    """Each album is claimed, paced and recorded by itself: twenty-three are three, and none is shown again."""
    on_record(house)
    deliver(house, bodies.success("r1", bodies.images("r1", 23)))
    await house.apply()
    house.messenger.outcomes = [Sent(1, CHAT, 10), SlowDown(5), Sent(11, CHAT, 10), Down("no"), Sent(21, CHAT, 3)]
    await turns(house)
    assert [len(album) for album in shown(house)] == [10, 10, 10, 3, 3]
    [row] = await house.messages()
    assert (row["state"], row["images_shown"], row["reason"]) == ("sent", 23, "sent")


@pytest.mark.parametrize("outcome", [Uncertain("no answer"), Sent(1, CHAT, 10)])
async def test_after_doubt_only_links_follow(house: House, outcome: SendOutcome) -> None:
    """A send without an answer may have shown its images: what is left goes as links, once."""
    on_record(house)
    deliver(house, bodies.success("r1", bodies.images("r1", 12)))
    await house.apply()
    house.messenger.outcomes = [outcome, Uncertain("no answer"), Sent(9, CHAT, 0)]
    if isinstance(outcome, Uncertain):
        house.messenger.outcomes = [outcome, Sent(9, CHAT, 0)]
    await turns(house)
    albums = shown(house)
    assert albums[-1] == ()
    assert all(albums[:-1])
    [row] = await house.messages()
    assert row["state"] == "sent"
    last = told(house)[-1].images
    assert last is not None
    assert len(last.left) == (12 if isinstance(outcome, Uncertain) else 2)


async def test_a_process_that_died_while_sending_leaves_links(house: House) -> None:
    """What it had claimed may have been shown: the next process sends no image of it."""
    on_record(house)
    deliver(house, bodies.success("r1", bodies.images("r1", 4)))
    await house.apply()
    with house.database.engine.begin() as transaction:
        transaction.exec_driver_sql("UPDATE webhook_notifications SET reason = 'sending', attempt = 1")
    await turns(house)
    assert shown(house) == [()]


async def test_room_for_uploads_is_waited_for(house: House) -> None:
    """No turn is no failure: the same images are offered again soon after."""
    on_record(house)
    deliver(house, bodies.success("r1", bodies.images("r1", 4)))
    await house.apply()
    house.messenger.outcomes = [*[NotYet(5)] * 4, Sent(7, CHAT, 4)]
    await turns(house)
    assert [len(album) for album in shown(house)] == [4] * 5
    [row] = await house.messages()
    assert (row["state"], row["failures"]) == ("sent", 0)


async def test_flagged_images_are_not_offered(house: House) -> None:
    """One of three is withheld; where all are, the owner hears of a failure."""
    on_record(house)
    on_record(house, "r2")
    deliver(house, bodies.success("r1", bodies.images("r1", 3, flagged={1})))
    deliver(house, bodies.success("r2", bodies.images("r2", 2, flagged={0, 1})), "r2")
    await house.apply()
    await turns(house)
    by_request = {message.request_id: message for message in told(house)}
    owed = by_request["r1"].images
    assert owed is not None
    assert (len(owed.urls), owed.withheld) == (2, 1)
    assert (by_request["r2"].topic, by_request["r2"].cause) == (Topic.IMAGES_FAILED, Cause.CONTENT_POLICY)


async def test_a_failure_is_told_once(house: House) -> None:
    """fal says ERROR twice, in two ways."""
    on_record(house)
    deliver(house, bodies.validation_failure("r1"))
    deliver(house, bodies.infra_failure("r1"))
    await house.apply()
    await turns(house)
    assert [message.topic for message in told(house)] == [Topic.IMAGES_FAILED]
    assert job_row(house) == ("done", "failed")


async def test_images_overtake_a_failure_that_waits(house: House) -> None:
    """The failure is closed unsent, the images are shown: an artifact is proof."""
    on_record(house)
    deliver(house, bodies.validation_failure("r1"))
    await house.apply()
    deliver(house, bodies.success("r1", bodies.images("r1", 1)))
    await house.apply()
    await turns(house)
    assert [message.topic for message in told(house)] == [Topic.IMAGES]


async def test_a_webhook_may_beat_its_registration(house: House) -> None:
    """It waits as an orphan, and is told once it is known whose it is."""
    deliver(house, bodies.success("r1", bodies.images("r1", 1)))
    await house.apply()
    assert [row["reason"] for row in await house.rows()] == ["orphan"]
    on_record(house)
    house.clock.move(4)
    await house.apply()
    await turns(house)
    assert [message.topic for message in told(house)] == [Topic.IMAGES]


async def test_a_result_that_was_left_out_is_fetched_where_it_was_submitted(house: House) -> None:
    """OK without a payload: the images come from fal's queue, at the endpoint of the registration."""
    on_record(house, endpoint="fal-ai/flux/dev")
    house.fal.results["r1"] = result_answer(bodies.success("r1", bodies.images("r1", 2)))
    house.fal.only_at = "fal-ai/flux/dev"
    deliver(house, empty_ok_body("r1"))
    await house.apply()
    await turns(house)
    assert [len(album) for album in shown(house)] == [2]


async def test_two_kinds_go_through_one_batch(house: House) -> None:
    """A training and a generation are applied in one transaction, each by its own rule."""
    on_record(house)
    deliver(house, bodies.success("r1", bodies.images("r1", 1)))
    await house.deliver("unknown")
    assert await house.apply() == 2
    await turns(house)
    assert [row["reason"] for row in await house.rows()] == ["completed", "orphan"]
