"""A training is submitted once, whatever becomes of the answer; on both databases, with fal faked."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest

from app.db import job_facts, submissions
from app.db.engine import Database
from app.db.trainings import BotTables
from app.domain.errors import DatabaseUnavailable, JobRefused
from app.domain.look import Trouble
from app.domain.submission import Price
from app.domain.submit_outcome import NotTaken, SubmitOutcome, Submitted
from app.domain.trainer import Trainer
from app.flows.sweep import GIVEN_UP
from tests.factories import LORA, Bot, error_body
from tests.fakes import FrozenClock
from tests.flows.conftest import House, on_sqlite
from tests.flows.desk import DOWN, PHOTOS, PORTRAIT, STYLE, WEBHOOK, Counter, lose, open_counter

pytestmark = pytest.mark.anyio


@pytest.fixture
async def counter(database: Database, bot_tables: BotTables, bot: Bot, clock: FrozenClock) -> Counter:
    return open_counter(database, bot_tables, bot, clock)


async def refused(counter: Counter, avatar_id: str, key: str = "k1", **more: object) -> tuple[int, str]:
    with pytest.raises(JobRefused) as caught:
        await counter.begin(avatar_id, key, **more)
    return caught.value.status, caught.value.code


async def test_the_row_is_there_before_fal_is_asked(counter: Counter) -> None:
    """When fal is asked, the job stands already, without a request id and with the nonce of our address."""
    avatar = await counter.avatar()
    seen: list[object] = []

    def look(taken: Submitted) -> SubmitOutcome:
        with counter.database.engine.connect() as connection:
            row = connection.exec_driver_sql("SELECT request_id, nonce, reason, state FROM webhook_jobs").one()
        seen.extend(row)
        return taken

    counter.fal.answer = look
    await counter.begin(avatar)
    [(_, _, webhook)] = counter.fal.taken.values()
    assert seen == [None, webhook[-32:], "submitting", "pending"]


async def test_the_answer_goes_into_both_rows_at_once(counter: Counter) -> None:
    """Job and avatar carry fal's request id; the avatar is at training with the trigger that it was trained with."""
    avatar = await counter.avatar(status="READY_FOR_TRAINING")
    request_id = await counter.begin(avatar)
    [job] = await counter.jobs()
    assert (job["request_id"], job["subject"], job["endpoint"]) == (request_id, avatar, PORTRAIT)
    assert (job["endpoint_source"], job["state"], job["reason"], job["steps"]) == ("submitted", "pending", None, 2500)
    row = await counter.bot.avatar(avatar)
    assert (row["fal_request_id"], row["word"], row["training_progress"]) == (request_id, "TRAINING", 0)
    assert row["trigger_word"] == row["trigger_phrase"] == f"TOK_{avatar[:8]}"


async def test_what_fal_is_given(counter: Counter) -> None:
    """Each trainer gets its own field names; our address is in the URL, with trainer and nonce, and no argument."""
    portrait, style = await counter.avatar(), await counter.avatar("style")
    await counter.begin(portrait, "k1", steps=1500, trigger="TOK_me")
    await counter.begin(style, "k2", trainer=Trainer.STYLE)
    first, second = counter.fal.taken.values()
    assert first[0] == PORTRAIT
    assert first[1] == {
        "images_data_url": PHOTOS.format(portrait),
        "trigger_phrase": "TOK_me",
        "steps": 1500,
        "multiresolution_training": True,
        "subject_crop": True,
    }
    assert second[0] == STYLE
    assert second[1] == {
        "images_data_url": PHOTOS.format(style),
        "trigger_word": f"TOK_{style[:8]}",
        "steps": 1000,
        "is_style": True,
    }
    assert first[2].startswith(f"{WEBHOOK}?training_type=portrait&job=")
    assert second[2].startswith(f"{WEBHOOK}?training_type=style&job=")
    assert first[2][-32:] != second[2][-32:]


async def test_a_repeat_of_the_key_is_the_same_training(counter: Counter) -> None:
    """The same key with the same training is answered alike, with another one refused; fal is asked once."""
    avatar = await counter.avatar()
    assert await counter.begin(avatar) == await counter.begin(avatar)
    assert await refused(counter, avatar, steps=500) == (409, "key_reused")
    assert counter.fal.posts == 1


async def test_an_avatar_is_trained_once_at_a_time(counter: Counter) -> None:
    """While a job of an avatar is open, or its row is at training, another key is refused."""
    avatar = await counter.avatar()
    await counter.begin(avatar)
    assert await refused(counter, avatar, "k2") == (409, "at_work")
    bots = await counter.bot.train("r-of-the-bot")
    assert await refused(counter, bots, "k3") == (409, "at_work")
    assert counter.fal.posts == 1


async def test_what_is_not_there_or_not_of_the_type_is_refused(counter: Counter) -> None:
    """An unknown avatar, an id that is none, and the other type: nothing is stored, fal is not asked."""
    style = await counter.avatar("style")
    assert await refused(counter, "0b0f5b9e-5f6c-4a51-9d3b-7f2f4b0a1c11") == (404, "avatar_unknown")
    assert await refused(counter, "not-a-uuid") == (404, "avatar_unknown")
    assert await refused(counter, style) == (400, "malformed")
    assert (counter.fal.posts, await counter.jobs()) == (0, [])


@pytest.mark.parametrize(
    "url",
    [
        "http://photos.example/a.zip",
        "ftp://photos.example/a.zip",
        "https://me:secret@photos.example/a.zip",
        "https:///a.zip",
        "https://[::1/a.zip",
        "https://photos.example:99999/a.zip",
        "file:///etc/passwd",
        "data:application/zip;base64,AAAA",
    ],
)
async def test_photos_have_an_https_address(counter: Counter, url: str) -> None:
    """Anything else is refused before a row is made."""
    avatar = await counter.avatar()
    assert await refused(counter, avatar, photos_url=url) == (400, "malformed")
    assert await counter.jobs() == []


async def test_the_address_of_the_photos_is_kept_nowhere(counter: Counter) -> None:
    """Whoever has the address can see the photos: our tables have its digest."""
    avatar = await counter.avatar()
    await counter.begin(avatar, photos_url="https://photos.example/private-photos.zip")
    [job] = await counter.jobs()
    assert "private-photos" not in str(job)
    assert len(job["photos_sha256"]) == 64


async def test_too_expensive_is_refused(counter: Counter) -> None:
    """A price above TRAINING_MAX_USD is refused before a row is made; one that cannot be learnt lets it through."""
    avatar = await counter.avatar()
    counter.fal.dollars = Price(0.0041, "steps")
    assert await refused(counter, avatar) == (400, "too_expensive")
    assert (counter.fal.posts, await counter.jobs()) == (0, [])
    counter.fal.dollars = Price(0.0039, "steps")
    await counter.begin(avatar)
    counter.fal.dollars = Price(99, "parsec")
    await counter.begin(await counter.avatar(), "k2")


async def test_a_locked_account_is_said_and_the_key_serves_again(counter: Counter) -> None:
    """402 and an ended row for the alert; after a top-up the same key submits."""
    avatar = await counter.avatar()
    counter.fal.refuses = NotTaken(Trouble.ACCOUNT_LOCKED, "fal answered 403: User is locked")
    assert await refused(counter, avatar) == (402, "account_exhausted")
    [job] = await counter.jobs()
    assert (job["state"], job["reason"], job["idempotency_key"]) == ("dead", "account_locked", None)
    assert (await counter.bot.avatar(avatar))["word"] == "ready_for_training"
    counter.fal.refuses = None
    assert await counter.begin(avatar) in counter.fal.taken


@pytest.mark.parametrize(
    ("trouble", "answer"),
    [
        (Trouble.NO_FAL_KEY, (503, "no_fal_key")),
        (Trouble.FAL_KEY_REFUSED, (503, "fal_key_refused")),
        (Trouble.RATE_LIMITED, (503, "fal_unavailable")),
        (Trouble.FAL_DOWN, (503, "fal_unavailable")),
        (Trouble.FAL_ODD, (400, "fal_refused")),
    ],
)
async def test_whose_trouble_it_is_is_said(counter: Counter, trouble: Trouble, answer: tuple[int, str]) -> None:
    """What fal has surely not taken ends, whatever the reason, and leaves the avatar alone."""
    avatar = await counter.avatar()
    counter.fal.refuses = NotTaken(trouble, "why")
    assert await refused(counter, avatar) == answer
    assert (await counter.bot.avatar(avatar))["fal_request_id"] == ""


async def test_a_lost_answer_is_said_and_never_sent_again(counter: Counter) -> None:
    """fault 55: 424 at once and for every repeat of the key; another key finds the avatar at work."""
    avatar = await counter.avatar()
    counter.fal.answer = lose
    assert await refused(counter, avatar) == (424, "submit_unknown")
    counter.clock.move(3600)
    assert await refused(counter, avatar) == (424, "submit_unknown")
    assert await refused(counter, avatar, "k2") == (409, "at_work")
    assert counter.fal.posts == 1
    [job] = await counter.jobs()
    assert (job["state"], job["reason"], job["request_id"]) == ("pending", "submit_unknown", None)


async def test_a_lost_answer_is_joined_by_the_webhook(counter: Counter, house: House) -> None:
    """fault 55: the signed webhook comes to the address with the nonce; its training is applied at once."""
    avatar = await counter.avatar()
    counter.fal.answer = lose
    await refused(counter, avatar)
    [request_id] = counter.fal.taken
    counter.clock.move(600)
    await counter.deliver(counter.fal.webhook(request_id))
    await house.apply()
    row = await counter.bot.avatar(avatar)
    assert (row["word"], row["diffusers_lora_file_url"], row["fal_request_id"]) == ("completed", LORA, request_id)
    [job] = await counter.jobs()
    assert (job["request_id"], job["state"], job["outcome"]) == (request_id, "done", "completed")
    assert await counter.begin(avatar) == request_id
    assert [message["kind"] for message in await house.messages()] == ["ready"]


async def test_a_webhook_may_overtake_the_answer(counter: Counter, house: House) -> None:
    """The result is there before fal's answer to the submission: both find the same job, and success stays."""
    avatar = await counter.avatar()
    early: list[Submitted] = []

    def overtaken(taken: Submitted) -> SubmitOutcome:
        early.append(taken)
        return lose(taken)

    counter.fal.answer = overtaken
    await refused(counter, avatar)
    await counter.deliver(counter.fal.webhook(early[0].request_id))
    await house.apply()
    [job] = await counter.jobs()
    await counter.database.write(
        submissions.answered,
        counter.submit.tables,
        job["id"],
        early[0],
        now=counter.clock.now(),
        due_at=counter.clock.now(),
    )
    assert (await counter.bot.avatar(avatar))["word"] == "completed"
    assert [job["state"] for job in await counter.jobs()] == ["done"]


async def test_a_failure_joins_as_a_success_does(counter: Counter, house: House) -> None:
    """A webhook that tells of a failure names the training as well; its owner hears of it."""
    avatar = await counter.avatar()
    counter.fal.answer = lose
    await refused(counter, avatar)
    [request_id] = counter.fal.taken
    await counter.deliver(counter.fal.webhook(request_id, error_body(request_id)))
    await house.apply()
    assert (await counter.bot.avatar(avatar))["word"] == "error"


async def test_an_unknown_nonce_joins_nothing(counter: Counter, house: House) -> None:
    """Another fal customer who learnt our address has no nonce of ours: no row changes."""
    avatar = await counter.avatar()
    counter.fal.answer = lose
    await refused(counter, avatar)
    [request_id] = counter.fal.taken
    await counter.deliver(counter.fal.webhook(request_id)._replace(nonce="f" * 32))
    await house.apply()
    [job] = await counter.jobs()
    assert job["request_id"] is None
    assert (await counter.bot.avatar(avatar))["fal_request_id"] == ""


async def test_a_nonce_serves_once(counter: Counter, house: House) -> None:
    """A second request at the same address, signed or not, takes nothing from the first."""
    avatar = await counter.avatar()
    request_id = await counter.begin(avatar)
    second = counter.fal.webhook(request_id, error_body("r2"))._replace(request_id="r2")
    await counter.deliver(second)
    await house.apply()
    assert (await counter.bot.avatar(avatar))["fal_request_id"] == request_id
    assert [job["request_id"] for job in await counter.jobs()] == [request_id]


async def test_a_lost_answer_is_found_in_fals_list(counter: Counter) -> None:
    """fault 55: the one entry that was given the same photos at the time is the job, and the avatar is at training."""
    avatar, other = await counter.avatar(), await counter.avatar()
    await counter.begin(other, "k0")
    counter.fal.answer = lose
    await refused(counter, avatar)
    assert await counter.look(5) == 0
    assert await counter.look(10) == 1
    row = await counter.bot.avatar(avatar)
    lost_one = list(counter.fal.taken)[1]
    assert (row["word"], row["fal_request_id"], row["trigger_phrase"]) == ("training", lost_one, f"TOK_{avatar[:8]}")
    assert await counter.begin(avatar) == lost_one


async def test_a_list_that_lags_is_asked_again(counter: Counter) -> None:
    """Not in the list, or no list at all: looked for again and again, and sent never."""
    avatar = await counter.avatar()
    counter.fal.answer = lose
    counter.fal.unsaid = DOWN
    await refused(counter, avatar)
    assert await counter.look(15) == 0
    counter.fal.unsaid = None
    [request_id] = counter.fal.taken
    counter.fal.unlisted = {request_id}
    assert [await counter.look(60), await counter.look(120)] == [0, 0]
    counter.fal.unlisted = set()
    assert await counter.look(900) == 1
    assert counter.fal.posts == 1


async def test_two_that_fit_are_none(counter: Counter) -> None:
    """Two entries with the same photos: nobody knows which, so none is joined by the list."""
    avatar = await counter.avatar()
    counter.fal.answer = lose
    await refused(counter, avatar)
    [(request_id, kept)] = counter.fal.taken.items()
    counter.fal.taken["twin"] = kept
    counter.fal.sent["twin"] = counter.fal.sent[request_id]
    assert await counter.look(60) == 0
    assert [job["request_id"] for job in await counter.jobs()] == [None]


async def test_an_entry_of_another_time_is_none(counter: Counter) -> None:
    """The same photos an hour later are another submission, perhaps the bot's own."""
    avatar = await counter.avatar()
    counter.fal.answer = lose
    await refused(counter, avatar)
    [request_id] = counter.fal.taken
    counter.fal.sent[request_id] += timedelta(hours=1)
    assert await counter.look(60) == 0


async def test_what_is_nowhere_becomes_the_operators(counter: Counter, house: House) -> None:
    """After a day the row is dead and said; the avatar may be submitted anew, and the webhook would join even then."""
    avatar = await counter.avatar()
    counter.fal.answer = lose
    await refused(counter, avatar)
    [request_id] = counter.fal.taken
    counter.fal.unlisted = {request_id}
    assert await counter.look(GIVEN_UP.total_seconds() + 60) == 0
    [job] = await counter.jobs()
    assert (job["state"], job["reason"]) == ("dead", "submit_unknown")
    assert await refused(counter, avatar) == (424, "submit_unknown")
    await counter.deliver(counter.fal.webhook(request_id))
    await house.apply()
    assert (await counter.bot.avatar(avatar))["word"] == "completed"


async def test_a_row_that_the_bot_took_meanwhile_is_left_alone(counter: Counter) -> None:
    """The bot began its own training of the avatar while ours was under way: its request id stays."""
    avatar = await counter.avatar()
    counter.fal.answer = lose
    await refused(counter, avatar)
    await counter.bot.write(avatar, status="training", fal_request_id="r-of-the-bot")
    assert await counter.look(60) == 1
    assert (await counter.bot.avatar(avatar))["fal_request_id"] == "r-of-the-bot"


async def test_a_database_that_goes_away_after_the_answer_is_a_lost_answer(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fal has it and we cannot write that down: 424, and the list joins it."""
    avatar = await counter.avatar()

    def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(submissions, "answered", away)
    assert await refused(counter, avatar) == (424, "submit_unknown")
    monkeypatch.undo()
    assert await counter.look(60) == 1
    assert counter.fal.posts == 1


STEPS = ("before the row", "before the request", "after fal took it", "before the record", "after the record")


class Killed(BaseException):
    """The process ends here."""


class Killing:
    """Ends a submission at one step; loses half of the answers."""

    def __init__(self, counter: Counter, monkeypatch: pytest.MonkeyPatch, chance: random.Random) -> None:
        self.step = ""
        begin, answered, submit = submissions.begin, submissions.answered, counter.fal.submit

        def begin_or_end(*args: Any, **more: Any) -> object:
            self.at("before the row")
            return begin(*args, **more)

        async def submit_or_end(*args: Any) -> SubmitOutcome:
            self.at("before the request")
            taken = await submit(*args)
            assert isinstance(taken, Submitted)
            self.at("after fal took it")
            return lose(taken) if chance.random() < 0.5 else taken

        def answered_or_end(*args: Any, **more: Any) -> None:
            self.at("before the record")
            answered(*args, **more)

        monkeypatch.setattr(submissions, "begin", begin_or_end)
        monkeypatch.setattr(counter.fal, "submit", submit_or_end)
        monkeypatch.setattr(submissions, "answered", answered_or_end)

    def at(self, step: str) -> None:
        if self.step == step:
            raise Killed

    async def begin(self, counter: Counter, avatar_id: str, key: str) -> int | None:
        """Submit once; return the status of a refusal."""
        try:
            await counter.begin(avatar_id, key)
            self.at("after the record")
        except JobRefused as refused:
            return refused.status
        except Killed:
            pass
        finally:
            self.step = ""
        return None


@on_sqlite
async def test_no_submission_is_sent_twice_in_200_runs(
    counter: Counter, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fault 55: the answer cut off at random, the process ended at every step, the bot repeating its key three times.

    fal gets at most one POST for each key; what it took is joined by webhook or list, what it did not get is said.
    """
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201  what a failure is repeated with
    chance = random.Random(seed)
    killing = Killing(counter, monkeypatch, chance)
    await counter.bot.train_many([""] * 200)
    avatars = await counter.avatar_ids()
    for run, avatar in enumerate(avatars):
        posts = counter.fal.posts
        step = killing.step = (*STEPS, *[""] * 5)[run % 10]
        for _ in range(3):
            said = await killing.begin(counter, avatar, f"k{run}")
            counter.clock.move(chance.choice((0, 1, 61)))
        assert counter.fal.posts - posts == (step != "before the request"), f"run {run}"
        assert posts != counter.fal.posts or said in (424, 409)  # 409: the first may still be under way
    mine = {str(kept[1]["images_data_url"]): request_id for request_id, kept in counter.fal.taken.items()}
    for request_id in counter.fal.taken:
        if chance.random() < 0.5:
            await counter.deliver(counter.fal.webhook(request_id))
    await house.apply()
    for _ in range(60):
        await counter.look(300)
    joined = {job["subject"]: (job["request_id"], job["reason"]) for job in await counter.jobs()}
    assert {avatar: joined[avatar][0] for avatar in avatars} == {
        avatar: mine.get(PHOTOS.format(avatar)) for avatar in avatars
    }
    assert [reason for request_id, reason in joined.values() if request_id is None] == ["submit_unknown"] * 20


async def test_a_caller_who_leaves_costs_nothing(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A submission that is cancelled while fal is asked stays on record, and is joined."""
    avatar = await counter.avatar()
    entered = asyncio.Event()

    take = counter.fal.submit

    async def hang(*args: Any) -> SubmitOutcome:
        await take(*args)
        entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(counter.fal, "submit", hang)
    task = asyncio.create_task(counter.begin(avatar))
    await entered.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await counter.look(61) == 1


async def test_a_locked_account_is_alarming_until_it_works_again(counter: Counter) -> None:
    """The refused submission counts as locked, not as a job that ended badly; the next that is taken ends it."""
    avatar = await counter.avatar()
    counter.fal.refuses = NotTaken(Trouble.ACCOUNT_LOCKED, "fal answered 403: User is locked")
    await refused(counter, avatar)
    counter.clock.move(60)
    facts = await counter.database.read(job_facts.count, counter.clock.now())
    assert (facts.locked, facts.dead, facts.overdue) == (1, 0, 0)
    assert await counter.database.read(job_facts.is_refused, counter.clock.now())
    assert not await counter.database.read(job_facts.is_refused, counter.clock.now() + timedelta(days=1))
    counter.fal.refuses = None
    await counter.begin(avatar)
    assert not await counter.database.read(job_facts.is_refused, counter.clock.now())
    facts = await counter.database.read(job_facts.count, counter.clock.now())
    assert facts.locked == 0


async def test_a_submission_that_nobody_answers_is_alarming(counter: Counter) -> None:
    """fault 55: half an hour without an answer makes it overdue, a day makes it dead: the operator hears of both."""
    avatar = await counter.avatar()
    counter.fal.answer, counter.fal.unsaid = lose, DOWN
    await refused(counter, avatar)
    assert (await counter.database.read(job_facts.count, counter.clock.now())).overdue == 0
    await counter.look(31 * 60)
    assert (await counter.database.read(job_facts.count, counter.clock.now())).overdue == 1
    await counter.look(GIVEN_UP.total_seconds())
    facts = await counter.database.read(job_facts.count, counter.clock.now())
    assert (facts.overdue, facts.dead) == (0, 1)
