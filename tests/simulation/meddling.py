"""What a bot writes into rows that are the server's to write, at moments of its own (docs/bot-database.md)."""

import asyncio
import random
from contextlib import suppress
from typing import Any

from app.cli.why import lines
from app.domain.errors import DatabaseUnavailable
from tests.simulation.bot import Bot
from tests.simulation.chance import one_of
from tests.simulation.course import OWN_ID, Course, until
from tests.simulation.watchman import tell

INVENTED = ("https://emergency-fallback.com/lora/{}.safetensors", "https://fallback-lora.com/{}.safetensors")
REAL = "https://v3.fal.media/files/by-hand/{}.safetensors"  # nobody's invention, and not what fal made
URL, CONFIG, ID = "diffusers_lora_file_url", "config_file_url", "finetune_id"
HOW: dict[str, float] = {
    "late progress": 2, "stubborn": 1, "invented": 3, "invented config": 0.5, "error": 1.5, "emptied": 1.5,
    "two artifacts": 1, "completed": 1.5, "another": 0.7, "odd status": 0.4, "another's id": 0.3,
}  # fmt: skip
ASKED = 0.5  # of the mishaps are asked about
AGAIN = 150.0  # s between two writes of a poller that does not tire
OWN = frozenset({"another", "odd status", "another's id"})  # after which the row is the bot's to answer for


async def meddle(world: Any, course: Course, chance: random.Random) -> None:
    """Do one of the mishaps, some time after the start; now and then the operator is asked about it at once."""
    bot = world.bot
    over = course.waits + course.works
    await until(course.begins + chance.choice((90, 150, over + 5, over + 30, over + 90, over + 300, 1800, 4000)))
    if not course.has_row:
        return
    how = one_of(chance, HOW)
    if how in ("late progress", "stubborn"):
        for _ in range(3 if how == "stubborn" else 1):
            bot.set_back(course)
            with suppress(DatabaseUnavailable):
                list(lines(await tell(world, course.request_id), "en"))
            await asyncio.sleep(AGAIN if how == "stubborn" else 0)
        return
    bot.meddles(course)
    course.is_touched |= how in OWN
    bot.write(f"meddles: {how} {course.number}", *_statements(bot, course, how, chance))
    if chance.random() < ASKED:
        with suppress(DatabaseUnavailable):
            list(lines(await tell(world, course.request_id), "en"))


def _statements(bot: Bot, course: Course, how: str, chance: random.Random) -> list[tuple[str, tuple[object, ...]]]:
    is_style = course.type == "style"
    invented = f"fallback-style-{course.number}" if is_style else chance.choice(INVENTED).format(course.number)
    written: dict[str, object]
    match how:
        case "error":
            written = {"status": "error"}
        case "invented":
            written = {"status": "completed", ID if is_style else URL: invented}
        case "invented config":
            written = {CONFIG: INVENTED[0].format(course.number)}
        case "emptied":
            written = {URL: None, ID: None}
        case "two artifacts":
            written = {ID: OWN_ID.format(course.number)}
        case "completed":
            written = {"status": "completed"}
        case "another":
            written = {"status": "completed", ID if is_style else URL: REAL.format(course.number)}
        case "odd status":
            written = {"status": "banana"}
        case _:
            return [_twin(course)]
    columns = ", ".join(f"{column} = ?" for column in written)
    values = (*written.values(), bot.now(), course.request_id)
    return [(f"UPDATE avatars SET {columns}, updated_at = ? WHERE fal_request_id = ?", values)]


def _twin(course: Course) -> tuple[str, tuple[object, ...]]:
    """Let a second avatar carry the same request id."""
    statement = (
        "INSERT OR IGNORE INTO avatars (id, user_id, name, training_type, status, fal_request_id, training_progress, "
        "avatar_data, fal_response_data, created_at, updated_at) SELECT ?, user_id, name, training_type, 'training', "
        "fal_request_id, 0, '{}', '{}', created_at, updated_at FROM avatars WHERE id = ?"
    )
    return statement, (f"{course.avatar_id[:-4]}twin", course.avatar_id)
