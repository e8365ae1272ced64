"""Claimed delivery → one commit."""

from datetime import timedelta

import pytest

from app.db.trainings import BotTables
from app.domain.look import Trouble, Unsaid
from app.domain.verdict import DOWN_PATIENCE, DOWN_TRIES
from app.fal.endpoints import FORMER_STYLE
from app.fal.payload import FalAnswer
from app.flows import apply
from app.flows.planning import RetryLimits
from tests.factories import LORA, Bot, empty_ok_body, error_body, ok_body, result_answer
from tests.fakes import no_jitter
from tests.flows.breaking import break_changes_of
from tests.flows.conftest import House, kinds_of

pytestmark = pytest.mark.anyio


async def test_a_success_completes_the_avatar_and_owes_one_message(house: House, bot: Bot) -> None:
    """Change, message and finish come in one commit, and the messenger is woken."""
    avatar_id = await bot.train("r1", telegram_id="42", name="Моя <b>тень</b>", language="kk")
    await house.deliver("r1")
    assert await house.apply() == 1
    assert (await bot.avatar(avatar_id))["word"] == "completed"
    [row] = await house.rows()
    assert (row["state"], row["reason"], row["fal_request_id"]) == ("done", "completed", "r1")
    [owed] = await house.messages()
    assert (owed["kind"], owed["chat_id"], owed["language"]) == ("ready", 42, "kk")
    assert (owed["avatar_id"], owed["avatar_name"]) == (avatar_id, "Моя <b>тень</b>")
    assert house.woken == ["notify"]


async def test_a_failure_is_told_with_its_cause(house: House, bot: Bot) -> None:
    """fal's words go into the row, the cause into the message."""
    avatar_id = await bot.train("r1")
    detail = [{"loc": ["body", "images"], "msg": "no face", "type": "face_detection_error"}]
    await house.deliver("r1", error_body("r1", detail))
    await house.apply()
    assert (await bot.avatar(avatar_id))["word"] == "error"
    [owed] = await house.messages()
    assert (owed["kind"], owed["cause"]) == ("failed", "no_face")


async def test_repeats_and_both_orders_of_a_conflict_tell_once(house: House, bot: Bot) -> None:
    """A failure that comes with its success in one batch: one message "ready", the row completed (fault 26)."""
    avatar_id = await bot.train("r1")
    await house.deliver("r1", ok_body("r1"))
    await house.deliver("r1", error_body("r1"))
    await house.deliver("r1", ok_body("r1", extra=1))
    assert await house.apply() == 3
    assert (await bot.avatar(avatar_id))["word"] == "completed"
    assert [row["reason"] for row in await house.rows()] == ["completed", "conflict", "already_completed"]
    assert [owed["kind"] for owed in await house.messages()] == ["ready"]


async def test_a_kind_that_nobody_described_waits(house: House, bot: Bot) -> None:
    """A delivery of a kind that this process does not have is left as it is, for one that has it."""
    await bot.train("r1")
    await house.deliver("r1")
    limits = RetryLimits(3, timedelta(hours=24), timedelta(seconds=60))
    without = apply.Apply(
        house.database, (), house.fal, house.clock, limits, chance=no_jitter, wake_notify=house.woken.clear
    )
    assert await without() == 0
    [row] = await house.rows()
    assert (row["state"], row["attempt"]) == ("pending", 0)
    assert await house.apply() == 1


async def test_in_a_flood_batches_are_small(
    house: House, monkeypatch: pytest.MonkeyPatch, bot_tables: BotTables
) -> None:
    """While many wait for an answer, a commit of applied deliveries must not be long; afterwards it may be."""
    monkeypatch.setattr(apply, "BATCH", 4)
    monkeypatch.setattr(apply, "MODEST", 2)
    crowded = [True]
    flow = apply.Apply(
        house.database,
        kinds_of(bot_tables),
        house.fal,
        house.clock,
        RetryLimits(3, timedelta(hours=24), timedelta(seconds=60)),
        chance=no_jitter,
        wake_notify=lambda: None,
        is_busy=lambda: crowded[0],
    )
    for number in range(6):
        await house.deliver(f"r{number}")
    assert await flow() == 2
    crowded[0] = False
    assert await flow() == 4


async def test_a_failure_not_told_yet_is_overtaken_by_the_success(house: House, bot: Bot) -> None:
    """Nobody hears of a failure after, or just before, they hear that it is ready (fault 26)."""
    await bot.train("r1")
    await house.deliver("r1", error_body("r1"))
    await house.deliver("r1", ok_body("r1"))
    assert await house.apply() == 2
    assert [(owed["kind"], owed["state"], owed["reason"]) for owed in await house.messages()] == [
        ("failed", "ignored", "overtaken"),
        ("ready", "pending", None),
    ]


async def test_a_training_that_appears_late_is_applied(house: House, bot: Bot) -> None:
    """The webhook may beat the bot's own commit: the delivery waits for its training (fault 24)."""
    await house.deliver("r1")
    await house.apply()
    [row] = await house.rows()
    assert (row["state"], row["reason"], row["failures"]) == ("pending", "orphan", 0)
    avatar_id = await bot.train("r1")
    house.clock.move(5)
    assert await house.apply() == 1
    assert (await bot.avatar(avatar_id))["word"] == "completed"


async def test_an_orphan_ends_where_the_operator_sees_it(house: House) -> None:
    """After ORPHAN_HOURS the delivery is buried as an orphan, with its body (fault 25)."""
    await house.deliver("r1")
    await house.apply()
    house.clock.move(24 * 3600)
    await house.apply()
    [row] = await house.rows()
    assert (row["state"], row["reason"], row["body"]) == ("dead", "orphan", ok_body("r1"))


async def test_a_body_that_names_another_request_is_applied_to_neither(house: House, bot: Bot) -> None:
    """Header and body must agree (fault 21)."""
    one, two = await bot.train("r1"), await bot.train("r2")
    await house.deliver("r1", ok_body("r2"))
    await house.apply()
    [row] = await house.rows()
    assert (row["state"], row["reason"]) == ("dead", "id_mismatch")
    assert {(await bot.avatar(one))["word"], (await bot.avatar(two))["word"]} == {"training"}


async def test_the_header_may_name_the_gateway_id(house: House, bot: Bot) -> None:
    """Where fal retried inside, the header may hold the gateway's id; the training is found by the body's."""
    avatar_id = await bot.train("r1")
    body = ok_body("r1").replace(b'"gateway_request_id": "r1"', b'"gateway_request_id": "g1"')
    await house.deliver("g1", body)
    await house.apply()
    assert (await bot.avatar(avatar_id))["word"] == "completed"


@pytest.mark.parametrize("body", [b"", b"\xff", b"{", b"[]", b"NaN", b'{"request_id": "r1"}', b"[" * 100_000])
async def test_what_cannot_be_understood_is_buried_with_its_bytes(house: House, body: bytes) -> None:
    """Nothing that fal signed is thrown away, and nothing breaks the worker (fault 33)."""
    await house.deliver("r1", body)
    await house.apply()
    [row] = await house.rows()
    assert (row["state"], row["body"]) == ("dead", body)


async def test_a_missing_payload_is_fetched(house: House, bot: Bot) -> None:
    """OK without a payload is a success whose result fal still holds (fault 27)."""
    avatar_id = await bot.train("r1")
    house.fal.results["r1"] = result_answer(ok_body("r1"))
    await house.deliver("r1", empty_ok_body("r1"))
    await house.apply()
    row = await bot.avatar(avatar_id)
    assert (row["word"], row["diffusers_lora_file_url"]) == ("completed", LORA)
    assert house.fal.asked == ["r1"]


async def test_a_result_that_cannot_be_fetched_is_retried_then_buried(house: House, bot: Bot) -> None:
    """No success is claimed that is not there: the operator decides in the end."""
    avatar_id = await bot.train("r1")
    await house.deliver("r1", empty_ok_body("r1"))
    tries = 0
    while (await house.rows())[0]["state"] == "pending":
        assert await house.apply() == 1
        house.clock.move(DOWN_PATIENCE.total_seconds())
        tries += 1
    [row] = await house.rows()
    assert (tries, row["state"], row["reason"], row["failures"]) == (DOWN_TRIES + 1, "dead", "fal_down", DOWN_TRIES)
    assert (await bot.avatar(avatar_id))["word"] == "training"
    assert await house.messages() == []


async def test_an_answer_that_is_no_result_waits_with_its_reason(house: House, bot: Bot) -> None:
    """fal answers that the result is gone: the delivery is tried again, and says why (fault 28)."""
    await bot.train("r1")
    house.fal.results["r1"] = FalAnswer(404, {}, b'{"detail": "Not found"}')
    await house.deliver("r1", empty_ok_body("r1"))
    await house.apply()
    [row] = await house.rows()
    assert (row["state"], row["reason"], row["failures"]) == ("pending", "result_gone", 1)


async def test_a_result_is_looked_for_where_a_style_was_trained_before(house: House, bot: Bot) -> None:
    """A style that the former trainer learned is fetched there once the present one does not know it."""
    avatar_id = await bot.train("r1", trainer="style")
    house.fal.only_at = FORMER_STYLE
    house.fal.results["r1"] = result_answer(ok_body("r1", lora=None, finetune_id="f1"))
    await house.deliver("r1", empty_ok_body("r1"))
    await house.apply()
    row = await bot.avatar(avatar_id)
    assert (row["word"], row["finetune_id"]) == ("completed", "f1")
    assert house.fal.asked == ["r1", "r1"]


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (Trouble.NO_FAL_KEY, "no_fal_key"),
        (Trouble.FAL_KEY_REFUSED, "fal_key_refused"),
        (Trouble.ACCOUNT_LOCKED, "fal_key_refused"),
        (Trouble.RATE_LIMITED, "fal_down"),
        (Trouble.FAL_DOWN, "fal_down"),
        (Trouble.FAL_ODD, "result_unreadable"),
    ],
)
async def test_what_fal_did_not_say_waits_with_its_reason(
    trouble: Trouble, reason: str, house: House, bot: Bot
) -> None:
    """Each trouble with fal leaves the delivery pending, with a reason that docs/errors.md explains (fault 28)."""
    avatar_id = await bot.train("r1")
    house.fal.trouble = Unsaid(trouble, "words")
    await house.deliver("r1", empty_ok_body("r1"))
    await house.apply()
    [row] = await house.rows()
    assert (row["state"], row["reason"]) == ("pending", reason)
    assert (await bot.avatar(avatar_id))["word"] == "training"


@pytest.mark.parametrize(
    ("answered", "reason"),
    [
        (FalAnswer(400, {}, b'{"detail": "Request is still in progress"}'), "not_ready"),
        (FalAnswer(503, {}, b'{"detail": "no runner", "error_type": "runner_scheduling_failure"}'), "fal_down"),
    ],
)
async def test_an_unfinished_result_waits_with_its_reason(
    answered: FalAnswer, reason: str, house: House, bot: Bot
) -> None:
    """A result that is not there yet, or broken, is no failure of a training that fal called a success (fault 28)."""
    await bot.train("r1")
    house.fal.results["r1"] = answered
    await house.deliver("r1", empty_ok_body("r1"))
    await house.apply()
    [row] = await house.rows()
    assert (row["state"], row["reason"]) == ("pending", reason)


async def test_a_fetched_result_without_artifacts_is_not_fetched_in_a_loop(house: House, bot: Bot) -> None:
    """Asked once per try; still nothing usable means another try later."""
    await bot.train("r1")
    house.fal.results["r1"] = result_answer(ok_body("r1", lora=None, images=[]))
    await house.deliver("r1", empty_ok_body("r1"))
    await house.apply()
    [row] = await house.rows()
    assert (row["state"], row["reason"]) == ("pending", "no_artifact")
    assert house.fal.asked == ["r1"]


async def test_two_avatars_with_one_request_id_are_left_to_the_operator(house: House, bot: Bot) -> None:
    """Guessing whose training it is would tell the wrong person."""
    await bot.train("r1")
    await bot.train("r1")
    await house.deliver("r1")
    await house.apply()
    [row] = await house.rows()
    assert (row["state"], row["reason"]) == ("dead", "ambiguous_training")


async def test_an_owner_without_a_chat_id_keeps_the_avatar(house: House, bot: Bot) -> None:
    """The training is completed all the same; the message is dead from the start and says why."""
    avatar_id = await bot.train("r1", telegram_id="not a number")
    await house.deliver("r1")
    await house.apply()
    assert (await bot.avatar(avatar_id))["word"] == "completed"
    [owed] = await house.messages()
    assert (owed["state"], owed["reason"]) == ("dead", "no_chat_id")


async def test_a_poison_row_costs_only_its_own(
    house: House, bot: Bot, bot_tables: BotTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery that breaks the shared commit is tried alone and set aside; the others are applied."""
    avatars = {name: await bot.train(name) for name in ("r1", "poison", "r3")}
    for name in avatars:
        await house.deliver(name)
    break_changes_of("poison", bot_tables, monkeypatch)
    await house.apply()
    words = {name: (await bot.avatar(avatar))["word"] for name, avatar in avatars.items()}
    assert words == {"r1": "completed", "poison": "training", "r3": "completed"}
    poisoned = (await house.rows())[1]
    assert (poisoned["state"], poisoned["reason"], poisoned["failures"]) == ("pending", "bug", 1)


async def test_poison_is_buried_with_its_traceback(
    house: House, bot: Bot, bot_tables: BotTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our bug ends after the limit of tries where the operator can read it."""
    await bot.train("r1")
    await house.deliver("r1")

    def change(*_):  # noqa: ANN002, ANN202  never returns
        raise ZeroDivisionError

    monkeypatch.setattr(bot_tables, "change", change)
    for _ in range(3):
        await house.apply()
        house.clock.move(600)
    [row] = await house.rows()
    assert (row["state"], row["reason"]) == ("dead", "bug")
    assert "ZeroDivisionError" in row["detail"]


async def test_a_gone_result_is_no_failure_of_the_training(house: House, bot: Bot) -> None:
    """What fal no longer holds does not turn a success into an error."""
    avatar_id = await bot.train("r1")

    house.fal.trouble = FalAnswer(404, {}, b'{"detail": "Request not found"}')
    await house.deliver("r1", empty_ok_body("r1"))
    await house.apply()
    assert (await bot.avatar(avatar_id))["word"] == "training"
