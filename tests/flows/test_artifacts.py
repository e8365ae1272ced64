"""No false success: the file is looked at before an avatar is completed with it, beside everything else."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from app.db.engine import Database
from app.db.trainings import BotTables
from app.domain.artifact import ArtifactCheck, ArtifactLook, Sight
from app.domain.errors import DatabaseUnavailable
from app.domain.training import Artifacts, Completed, Known, Outcome, Plan, Training
from app.flows import artifacts
from app.flows.apply import Apply
from app.flows.artifacts import HOLD, ArtifactLooks
from app.flows.kinds import Kind
from app.flows.planning import Planner, RetryLimits
from tests.factories import LORA, Bot, empty_ok_body, error_body, ok_body, result_answer
from tests.fakes import FakeStore, FrozenClock, moving_sleep, no_jitter
from tests.flows.conftest import House, kinds_of
from tests.flows.under_way import ended

pytestmark = pytest.mark.anyio

ABSENT = ArtifactLook(Sight.ABSENT, "http_404")
FOREIGN = ArtifactLook(Sight.ABSENT, "foreign_host", is_lasting=True)
UNREACHABLE = ArtifactLook(Sight.UNREACHABLE, "http_503")
SEEN = ArtifactLook(Sight.SEEN)
SECOND = "https://v3.fal.media/files/lion/lora.safetensors"


@dataclass
class Gallery:
    """A house whose Apply looks at artifacts."""

    house: House
    store: FakeStore
    looks: ArtifactLooks
    owed: asyncio.Event

    async def apply(self) -> int:
        """Apply what is due, and settle what is looked at."""
        taken = await self.house.apply()
        await ended(self.looks)
        return taken

    async def row(self) -> dict[str, Any]:
        [row] = await self.house.rows()
        return row


Furnish = Callable[..., Gallery]


@pytest.fixture
async def furnish(
    house: House, database: Database, bot_tables: BotTables, clock: FrozenClock
) -> AsyncIterator[Furnish]:
    made: list[Gallery] = []

    def make(check: ArtifactCheck = ArtifactCheck.REQUIRE, kinds: Sequence[Kind] | None = None) -> Gallery:
        store, owed = FakeStore(), asyncio.Event()
        looks = ArtifactLooks(store, check, elapsed=clock.elapsed, sleep=moving_sleep(clock))
        house.apply = Apply(
            database,
            kinds_of(bot_tables) if kinds is None else kinds,
            house.fal,
            clock,
            RetryLimits(3, timedelta(hours=24), timedelta(seconds=60)),
            chance=no_jitter,
            wake_notify=owed.set,
            looks=looks,
        )
        made.append(Gallery(house, store, looks, owed))
        return made[-1]

    yield make
    for one in made:
        await one.looks.close(0)


@pytest.fixture
def gallery(furnish: Furnish) -> Gallery:
    return furnish()


def applied(lines: list[Any]) -> list[Any]:
    """What the log says of the artifacts of what was applied."""
    return [line["artifact"] for line in lines if line["event"] == "delivery.applied"]


async def test_what_is_seen_completes_the_avatar(gallery: Gallery, bot: Bot) -> None:
    """One look at the LoRA; then change, message and finish come in one commit as ever."""
    avatar_id = await bot.train("r1")
    await gallery.house.deliver("r1")
    with capture_logs() as lines:
        assert await gallery.apply() == 1
    assert (await bot.avatar(avatar_id))["word"] == "completed"
    assert [owed["kind"] for owed in await gallery.house.messages()] == ["ready"]
    row = await gallery.row()
    assert (row["state"], row["reason"], row["attempt"]) == ("done", "completed", 1)
    assert (gallery.store.asked, gallery.owed.is_set(), applied(lines)) == ([LORA], True, ["seen"])


async def test_no_transaction_is_open_while_a_file_is_looked_at(gallery: Gallery, bot: Bot) -> None:
    """The row is claimed and nothing is locked: the bot writes its tables, and another success is taken meanwhile."""
    await bot.train("r1")
    await gallery.house.deliver("r1")
    seen: list[dict[str, Any]] = []

    async def meanwhile() -> ArtifactLook:
        seen.append(await gallery.row())
        await bot.train("r2")
        await gallery.house.deliver("r2")
        return SEEN

    gallery.store.looks[LORA] = [meanwhile]
    await gallery.apply()
    assert (seen[0]["state"], seen[0]["attempt"]) == ("pending", 1)
    assert seen[0]["due_at"] == gallery.house.clock.at + timedelta(seconds=60)
    assert await gallery.apply() == 1
    assert [row["reason"] for row in await gallery.house.rows()] == ["completed", "completed"]


async def test_what_is_absent_completes_nothing_until_it_is_there(gallery: Gallery, bot: Bot) -> None:
    """The CDN lags: tried again with backoff, told only when the file was seen."""
    avatar_id = await bot.train("r1")
    await gallery.house.deliver("r1")
    gallery.store.looks[LORA] = [ABSENT]
    with capture_logs() as lines:
        await gallery.apply()
    row = await gallery.row()
    assert (row["state"], row["reason"], row["failures"]) == ("pending", "artifact_absent", 1)
    assert row["due_at"] == gallery.house.clock.at + timedelta(seconds=2)
    assert ((await bot.avatar(avatar_id))["word"], await gallery.house.messages()) == ("training", [])
    [line] = [line for line in lines if line["event"] == "artifact.not_seen"]
    assert (line["request_id"], line["host"], line["why"]) == ("r1", "v3.fal.media", "http_404")
    gallery.house.clock.move(2)
    await gallery.apply()
    assert (await bot.avatar(avatar_id))["word"] == "completed"


async def test_what_stays_absent_ends_with_the_operator(gallery: Gallery, bot: Bot) -> None:
    """After RETRY_MAX_ATTEMPTS looks the delivery is dead, its avatar still in training, nobody told."""
    avatar_id = await bot.train("r1")
    await gallery.house.deliver("r1")
    gallery.store.every = ABSENT
    for _ in range(3):
        await gallery.apply()
        gallery.house.clock.move(10)
    row = await gallery.row()
    assert (row["state"], row["reason"], row["detail"]) == ("dead", "artifact_absent", "v3.fal.media: http_404")
    assert ((await bot.avatar(avatar_id))["word"], await gallery.house.messages()) == ("training", [])


async def test_a_foreign_host_is_the_operator_s_at_once(gallery: Gallery, bot: Bot) -> None:
    """Waiting makes no host an allowed one."""
    await bot.train("r1")
    await gallery.house.deliver("r1")
    gallery.store.every = FOREIGN
    await gallery.apply()
    row = await gallery.row()
    assert (row["state"], row["detail"]) == ("dead", "v3.fal.media: foreign_host")


async def test_an_unreachable_cdn_is_looked_at_twice_and_holds_nobody_up(gallery: Gallery, bot: Bot) -> None:
    """Three seconds later once more; then the owner is told, and that nobody saw the file is noted."""
    avatar_id = await bot.train("r1")
    await gallery.house.deliver("r1")
    gallery.store.every = UNREACHABLE
    began = gallery.house.clock.at
    with capture_logs() as lines:
        await gallery.apply()
    assert gallery.house.clock.at - began == timedelta(seconds=3)
    assert (len(gallery.store.asked), applied(lines)) == (2, ["unverified"])
    assert (await bot.avatar(avatar_id))["word"] == "completed"
    assert [owed["kind"] for owed in await gallery.house.messages()] == ["ready"]
    assert (await gallery.row())["reason"] == "completed"


@pytest.mark.parametrize(("second", "word"), [(SEEN, "completed"), (ABSENT, "training")])
async def test_the_second_look_decides(gallery: Gallery, bot: Bot, second: ArtifactLook, word: str) -> None:
    """What the first look could not tell the second may: seen, or absent after all."""
    avatar_id = await bot.train("r1")
    await gallery.house.deliver("r1")
    gallery.store.looks[LORA] = [UNREACHABLE, second]
    await gallery.apply()
    assert (await bot.avatar(avatar_id))["word"] == word


@given(st.lists(st.floats(0, 30), min_size=2, max_size=2))
def test_no_look_holds_an_owner_up_for_more_than_five_seconds(durations: list[float]) -> None:
    """However long the CDN takes to say nothing, both looks and the pause between them end within HOLD."""
    clock = FrozenClock()
    began = clock.elapsed()

    class Tarrying(FakeStore):
        async def look(self, url: str, within: float) -> ArtifactLook:
            assert within > 0
            clock.move(min(durations.pop(0), within))  # as FalCdn keeps it
            return UNREACHABLE

    looks = ArtifactLooks(Tarrying(), ArtifactCheck.REQUIRE, elapsed=clock.elapsed, sleep=moving_sleep(clock))
    asyncio.run(looks.see(LORA))
    assert clock.elapsed() - began <= HOLD + 1e-3


async def test_a_look_that_finds_no_turn_is_unreachable(
    gallery: Gallery, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a hung CDN holds every turn, whoever waits for one is told as soon as those who have one."""
    monkeypatch.setattr(artifacts, "HOLD", 0.05)
    monkeypatch.setattr(gallery.looks, "_turns", asyncio.Semaphore(0))
    avatar_id = await bot.train("r1")
    await gallery.house.deliver("r1")
    await gallery.apply()
    assert ((await bot.avatar(avatar_id))["word"], gallery.store.asked) == ("completed", [])


@pytest.mark.parametrize(("look", "noted"), [(ABSENT, "absent"), (UNREACHABLE, "unverified"), (SEEN, "seen")])
async def test_noting_holds_nothing_up(furnish: Furnish, bot: Bot, look: ArtifactLook, noted: str) -> None:
    """ARTIFACT_CHECK=note: one look, completed at once whatever it found, and that is noted."""
    gallery = furnish(ArtifactCheck.NOTE)
    avatar_id = await bot.train("r1")
    await gallery.house.deliver("r1")
    gallery.store.every = look
    began = gallery.house.clock.at
    with capture_logs() as lines:
        await gallery.apply()
    assert (gallery.house.clock.at, len(gallery.store.asked), applied(lines)) == (began, 1, [noted])
    assert (await bot.avatar(avatar_id))["word"] == "completed"


async def test_without_looks_nothing_is_noted(house: House, bot: Bot) -> None:
    """ARTIFACT_CHECK=off: completed in the transaction that took the delivery."""
    await bot.train("r1")
    await house.deliver("r1")
    with capture_logs() as lines:
        await house.apply()
    assert applied(lines) == [None]


async def test_what_writes_no_artifact_is_applied_at_once(gallery: Gallery, bot: Bot) -> None:
    """A failure, a repeat and a finetune id are in the first commit: nothing is looked at, nobody claimed."""
    await bot.train("failed")
    await bot.train("repeated", status="completed")
    await bot._run("UPDATE avatars SET diffusers_lora_file_url = ? WHERE fal_request_id = ?", LORA, "repeated")
    style = await bot.train("style", trainer="style")
    await gallery.house.deliver("failed", error_body("failed"))
    await gallery.house.deliver("repeated", empty_ok_body("repeated"))
    await gallery.house.deliver("style", ok_body("style", lora=None, finetune_id="f1"))
    with capture_logs() as lines:
        assert await gallery.house.apply() == 3
    assert [row["state"] for row in await gallery.house.rows()] == ["done"] * 3
    assert (await bot.avatar(style))["finetune_id"] == "f1"
    assert (gallery.store.asked, applied(lines)) == ([], [None, None, "seen"])


@pytest.mark.parametrize(
    ("change", "reason", "told"),
    [
        ("UPDATE avatars SET status = 'cancelled'", "conflict", 0),
        (f"UPDATE avatars SET status = 'completed', diffusers_lora_file_url = '{LORA}'", "already_completed", 0),
        (f"UPDATE avatars SET status = 'completed', diffusers_lora_file_url = '{SECOND}'", "conflict", 0),
        ("UPDATE avatars SET status = 'error'", "completed", 1),
        ("UPDATE avatars SET fal_request_id = NULL", "orphan", 0),
    ],
)
async def test_it_is_decided_again_after_the_look(
    gallery: Gallery, bot: Bot, change: str, reason: str, told: int
) -> None:
    """What the bot wrote while the file was looked at counts, not what was read before."""
    await bot.train("r1")
    await gallery.house.deliver("r1")

    async def meanwhile() -> ArtifactLook:
        await bot._run(change)
        return SEEN

    gallery.store.looks[LORA] = [meanwhile]
    await gallery.apply()
    assert ((await gallery.row())["reason"], len(await gallery.house.messages())) == (reason, told)


async def test_what_came_first_is_decided_first(gallery: Gallery, bot: Bot) -> None:
    """A failure that comes while its training's file is looked at waits until that is decided (fault 26)."""
    avatar_id = await bot.train("r1")
    await gallery.house.deliver("r1")
    go = asyncio.Event()

    async def held() -> ArtifactLook:
        await go.wait()
        return SEEN

    gallery.store.looks[LORA] = [held]
    await gallery.house.apply()
    await gallery.house.deliver("r1", error_body("r1"))
    assert await gallery.house.apply() == 1
    assert [(row["state"], row["reason"]) for row in await gallery.house.rows()] == [
        ("pending", None),
        ("pending", "locked"),
    ]
    go.set()
    await ended(gallery.looks)
    gallery.house.clock.move(3)
    await gallery.apply()
    assert [row["reason"] for row in await gallery.house.rows()] == ["completed", "conflict"]
    assert (await bot.avatar(avatar_id))["word"] == "completed"
    assert [owed["kind"] for owed in await gallery.house.messages()] == ["ready"]


async def test_both_orders_in_one_batch_tell_once(gallery: Gallery, bot: Bot) -> None:
    """Success, failure and another success of one training, due together: one message "ready" (fault 26)."""
    await bot.train("r1")
    for body in (ok_body("r1"), error_body("r1"), ok_body("r1", extra=1)):
        await gallery.house.deliver("r1", body)
    while any(row["state"] == "pending" for row in await gallery.house.rows()):
        await gallery.apply()
        gallery.house.clock.move(3)
    assert [row["reason"] for row in await gallery.house.rows()] == ["completed", "conflict", "already_completed"]
    assert [owed["kind"] for owed in await gallery.house.messages()] == ["ready"]


async def test_a_slow_file_holds_up_no_other(gallery: Gallery, bot: Bot) -> None:
    """In one batch: what was seen is told while the other look still lasts."""
    slow, quick = await bot.train("slow"), await bot.train("quick")
    await gallery.house.deliver("slow", ok_body("slow", lora=SECOND))
    await gallery.house.deliver("quick")
    go = asyncio.Event()

    async def held() -> ArtifactLook:
        await go.wait()
        return SEEN

    gallery.store.looks[SECOND] = [held]
    await gallery.house.apply()
    async with asyncio.timeout(10):
        await gallery.owed.wait()
    assert [(await bot.avatar(one))["word"] for one in (slow, quick)] == ["training", "completed"]
    go.set()
    await ended(gallery.looks)
    assert (await bot.avatar(slow))["word"] == "completed"


async def test_a_fetched_result_is_looked_at_too(gallery: Gallery, bot: Bot) -> None:
    """What fal's queue says was left behind is no more proof than what the webhook says."""
    avatar_id = await bot.train("r1")
    gallery.house.fal.results["r1"] = result_answer(ok_body("r1"))
    await gallery.house.deliver("r1", empty_ok_body("r1"))
    gallery.store.every = ABSENT
    await gallery.apply()
    assert (gallery.house.fal.asked, gallery.store.asked) == (["r1"], [LORA])
    assert ((await bot.avatar(avatar_id))["word"], (await gallery.row())["reason"]) == ("training", "artifact_absent")


async def test_poison_beside_a_look_costs_only_its_own(
    gallery: Gallery, bot: Bot, bot_tables: BotTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery that breaks the commit after the looks is set aside; the others of its batch are completed."""
    avatars = {name: await bot.train(name) for name in ("r1", "poison", "r3")}
    for name in avatars:
        await gallery.house.deliver(name)
    real = bot_tables.change

    def change(transaction, changes):  # noqa: ANN001, ANN202  the signature is BotTables.change
        if any(training.request_id == "poison" for training, _, _ in changes):
            raise ZeroDivisionError
        real(transaction, changes)

    monkeypatch.setattr(bot_tables, "change", change)
    await gallery.apply()
    words = {name: (await bot.avatar(avatar))["word"] for name, avatar in avatars.items()}
    assert words == {"r1": "completed", "poison": "training", "r3": "completed"}
    assert (await gallery.house.rows())[1]["reason"] == "bug"


async def test_what_is_found_one_by_one_is_looked_at_too(
    gallery: Gallery, bot: Bot, bot_tables: BotTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the common transaction breaks, deliveries are claimed: their files are looked at all the same."""
    failed, fine = await bot.train("failed"), await bot.train("fine")
    await gallery.house.deliver("failed", error_body("failed"))
    await gallery.house.deliver("fine")
    real = bot_tables.change

    def change(transaction, changes):  # noqa: ANN001, ANN202  the signature is BotTables.change
        if any(training.request_id == "failed" for training, _, _ in changes):
            raise ZeroDivisionError
        real(transaction, changes)

    monkeypatch.setattr(bot_tables, "change", change)
    await gallery.apply()
    assert [(await bot.avatar(one))["word"] for one in (failed, fine)] == ["training", "completed"]
    assert gallery.store.asked == [LORA]


async def test_a_bug_in_a_look_keeps_no_owner_waiting(gallery: Gallery, bot: Bot) -> None:
    """It is logged with its traceback and counts as unreachable."""
    avatar_id = await bot.train("r1")
    await gallery.house.deliver("r1")

    async def broken() -> ArtifactLook:
        raise ZeroDivisionError

    gallery.store.looks[LORA] = [broken, broken]
    with capture_logs() as lines:
        await gallery.apply()
    assert [line["event"] for line in lines].count("artifact.look_failed") == 2
    assert applied(lines) == ["unverified"]
    assert (await bot.avatar(avatar_id))["word"] == "completed"


def failing(error: Exception) -> Callable[..., Any]:
    def decide(*_: object, **__: object) -> None:
        raise error

    return decide


@pytest.mark.parametrize(
    ("error", "event"),
    [(DatabaseUnavailable("away"), "artifact.left_to_lease"), (SystemError("odd"), "artifact.looks_broke")],
)
async def test_what_cannot_be_settled_is_due_again(
    furnish: Furnish, bot: Bot, monkeypatch: pytest.MonkeyPatch, error: Exception, event: str
) -> None:
    """A database that is away until the lease ends, or a bug of ours: logged, and the delivery is due again."""
    gallery = furnish()
    clock = gallery.house.clock
    avatar_id = await bot.train("r1")
    await gallery.house.deliver("r1")

    async def spoilt() -> ArtifactLook:
        clock.move(60)
        monkeypatch.setattr(Planner, "decide", failing(error))
        monkeypatch.setattr(Apply, "_set_aside", failing(error))
        return SEEN

    gallery.store.looks[LORA] = [spoilt]
    with capture_logs() as lines:
        await gallery.apply()
    assert event in [line["event"] for line in lines]
    monkeypatch.undo()
    assert await gallery.apply() == 1
    assert (await bot.avatar(avatar_id))["word"] == "completed"


async def test_the_flow_waits_while_too_much_is_looked_at(
    gallery: Gallery, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of successes and a CDN that hangs do not fill the memory."""
    monkeypatch.setattr(artifacts, "ROOM", 1)
    go = asyncio.Event()

    async def held() -> ArtifactLook:
        await go.wait()
        return SEEN

    gallery.store.looks[LORA] = [held]
    for name in ("r1", "r2"):
        await bot.train(name)
        await gallery.house.deliver(name)
        if name == "r1":
            await gallery.house.apply()
    second = asyncio.create_task(gallery.apply())
    done, _ = await asyncio.wait([second], timeout=0.05)
    assert not done
    go.set()
    assert await second == 1
    assert [row["reason"] for row in await gallery.house.rows()] == ["completed", "completed"]


async def test_at_the_stop_the_rest_is_left_to_its_lease(gallery: Gallery, bot: Bot) -> None:
    """A look that does not end in time is cut off; the claimed row is due again, and the CDN's client is closed."""
    await bot.train("r1")
    await gallery.house.deliver("r1")
    gallery.store.looks[LORA] = [asyncio.Event().wait]  # type: ignore[list-item]  # never answers
    await gallery.house.apply()
    await gallery.looks.close(0.01)
    assert gallery.store.closed
    assert (await gallery.row())["state"] == "pending"
    gallery.house.clock.move(60)
    assert await gallery.apply() == 1
    assert (await gallery.row())["reason"] == "completed"


async def test_another_artifact_is_another_look(furnish: Furnish, bot: Bot, bot_tables: BotTables) -> None:
    """Where deciding again would write another file than the one that was seen, that one is looked at first."""
    [kind] = kinds_of(bot_tables)
    urls = [LORA, SECOND]

    def fickle(training: Training, outcome: Outcome, now: datetime, known: Known | None) -> Plan:
        url = urls.pop(0) if urls else SECOND
        return kind.decide(training, Completed(Artifacts(lora_url=url)), now, known)

    gallery = furnish(kinds=(replace(kind, decide=fickle),))
    avatar_id = await bot.train("r1")
    await gallery.house.deliver("r1")
    await gallery.apply()
    assert gallery.store.asked == [LORA, SECOND]
    assert (await bot.avatar(avatar_id))["diffusers_lora_file_url"] == SECOND
