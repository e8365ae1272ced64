"""Whatever fal says and the bot writes, in any order: in the end the row is as fal said, told once (I11)."""

import asyncio
import shutil
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.engine import open_database
from app.db.operator_queries import Queue
from app.db.schema import find_bot_tables
from app.flows.drift import Mend
from app.flows.operate import Operation, operate
from app.flows.prune import Prune
from tests.factories import INVENTED, INVENTED_ID, INVENTED_LORA, LORA, Bot, error_body, ok_body
from tests.fakes import FrozenClock, kinds
from tests.flows.conftest import House, open_house

EVERY = timedelta(seconds=60)
OTHER_LORA = "https://v3.fal.media/files/lion/lora.safetensors"
SAID = {
    "success": ok_body("r1"),
    "another success": ok_body("r1", lora=OTHER_LORA),
    "failure": error_body("r1"),
    "another failure": error_body("r1", "timed out"),
}
WRITTEN: dict[str, dict[str, Any]] = {
    "set back": {"status": "training", "training_progress": 0},
    "an error": {"status": "error"},
    "an invented LoRA": {"status": "completed", "diffusers_lora_file_url": INVENTED_LORA},
    "an invented id": {"status": "completed", "finetune_id": INVENTED_ID},
    "an id beside": {"finetune_id": "ft-1"},
    "nothing": {"status": "completed", "diffusers_lora_file_url": None},
}
RETENTIONS = 3  # of 8 days each: after thirty days a row is the bot's own
STEPS = st.sampled_from([*SAID, *WRITTEN, "a look", "redrive", "retention"])


async def walk(url: str, steps: list[str]) -> tuple[tuple[Any, ...], list[str]]:
    """Take the steps, then let the world be fair; return the row and what was told."""
    database, clock = open_database(url), FrozenClock()
    bot_tables, bot = await find_bot_tables(database), Bot(database)
    async with open_house(database, bot_tables, clock) as house:
        mend = Mend(database, bot_tables, clock, INVENTED, every=EVERY, wake_apply=lambda: None)
        avatar_id = await bot.train("r1", telegram_id="42")
        for step in [*steps, "a look", "a look"]:
            if step in SAID:
                await house.deliver("r1", SAID[step])
            elif step in WRITTEN:
                await bot.write(avatar_id, **WRITTEN[step])
            elif step == "a look":
                clock.move(31 * 60)
                await mend()
            elif step == "redrive":
                ids = [row["id"] for row in await house.rows()]
                act = Operation.REDRIVE
                await operate(database, clock, Queue.DELIVERIES, act, ids=ids, who="aisha", invented=INVENTED)
            else:
                clock.move(8 * 24 * 3600)
                await Prune(database, clock, timedelta(days=7))()
            await settle(house, clock)
        row = await bot.avatar(avatar_id)
        told = kinds(house.messenger.sent)
    await database.close()
    return (row["word"], row["diffusers_lora_file_url"], row["finetune_id"]), told


async def settle(house: House, clock: FrozenClock) -> None:
    while await house.apply():
        pass
    clock.move(2)
    await house.tell()


@settings(
    max_examples=15,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEPS, max_size=8).filter(lambda steps: steps.count("retention") <= RETENTIONS))
def test_in_the_end_the_row_is_as_fal_said(sqlite_template: Path, tmp_path: Path, steps: list[str]) -> None:
    """The first success stands, with its artifact alone; else a failure does; each is told once (faults 53, 54)."""
    for leftover in tmp_path.iterdir():
        leftover.unlink()
    path = tmp_path / "drift.db"
    shutil.copy(sqlite_template, path)
    row, told = asyncio.run(walk(f"sqlite:///{path}", steps))
    assert max(Counter(told).values(), default=0) <= 1
    assert "correction" not in told
    said = [step for step in steps if step in SAID]
    successes = [step for step in said if "success" in step]
    assert not said or not {INVENTED_LORA, INVENTED_ID} & set(row)
    if successes:
        assert row == ("completed", LORA if successes[0] == "success" else OTHER_LORA, None)
        assert told[-1] == "ready"
    elif said and not stood_at_error(steps):
        assert row[0] == "error"
        assert row[1] is None
        assert told == ["failed"]


def stood_at_error(steps: list[str]) -> bool:
    """Tell whether the bot itself had set the row to error before fal said so: then its owner hears it from the bot."""
    first = next(number for number, step in enumerate(steps) if step in SAID)
    statuses = [WRITTEN[step]["status"] for step in steps[:first] if "status" in WRITTEN.get(step, {})]
    return bool(statuses) and statuses[-1] == "error"
