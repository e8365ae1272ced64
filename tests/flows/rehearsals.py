"""Random histories of deliveries that an operator may want to redrive, and what a database holds."""

from random import Random
from typing import Any

from sqlalchemy import text

from app.db.engine import Database
from app.db.tables import metadata
from tests.factories import LORA, Bot, empty_ok_body, error_body, ok_body
from tests.flows.conftest import House

OTHER_LORA = LORA.replace("elephant", "zebra")


async def make_history(house: House, bot: Bot, random: Random, prefix: str) -> None:
    """Deliver for a few avatars in random states, apply, and let the bot and an operator change things afterwards."""
    names = [f"{prefix}-{number}" for number in range(random.randint(1, 6))]
    avatars, late = await _begin(bot, names, random)
    for name in names:
        for _ in range(random.randint(1, 2)):
            await house.deliver(name, _body(name, random))
    await house.apply()
    house.clock.move(25 * 3600)
    await house.apply()
    if random.random() < 0.5:
        await house.tell()
    for name in late:
        avatars[name] = await bot.train(name, language=random.choice(["ru", "kk"]))
    await _spoil(bot, [avatar for avatar in avatars.values() if random.random() < 0.4], random)


async def _begin(bot: Bot, names: list[str], random: Random) -> tuple[dict[str, str], list[str]]:
    """Make avatars for most of these requests; return them, and the requests whose avatar comes late."""
    late: list[str] = []
    avatars: dict[str, str] = {}
    for name in names:
        fate = random.choice(["known", "known", "late", "orphan", "twice"])
        if fate in ("known", "twice"):
            status = random.choice(["training", "training", "completed", "error", "cancelled"])
            trainer = random.choice(["portrait", "style"])
            avatars[name] = await bot.train(name, status=status, trainer=trainer, language=random.choice(["ru", "en"]))
            if status == "completed":
                await bot.write(avatars[name], diffusers_lora_file_url=random.choice([LORA, OTHER_LORA]))
        if fate == "twice":
            await bot.train(name)
        if fate == "late":
            late.append(name)
    return avatars, late


async def _spoil(bot: Bot, avatars: list[str], random: Random) -> None:
    for avatar in avatars:
        await bot.write(avatar, status=random.choice(["training", "error", "cancelled", "draft"]))


def _body(name: str, random: Random) -> bytes:
    bodies = (
        ok_body(name),
        ok_body(name, lora=OTHER_LORA),
        error_body(name, f"cause {random.randint(0, 9)}"),
        empty_ok_body(name),
        ok_body(f"{name}-other"),
        b"{not json %d" % random.randint(0, 99),
    )
    return random.choice(bodies)


def all_rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that stands in our tables and the bot's."""
    with database.engine.connect() as connection:
        return {
            table: sorted(map(tuple, connection.execute(text(f"SELECT * FROM {table}"))), key=repr)
            for table in (*metadata.tables, "users", "avatars")
        }
