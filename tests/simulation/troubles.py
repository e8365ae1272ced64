"""What goes wrong, and what people do meanwhile: acts, each drawn from the seed, each with its moment."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.simulation import certificates, strangers
from tests.simulation.chance import one_of
from tests.simulation.weather import Trouble

# Kinds of trouble, with how often each is drawn. Those of "outside" are (parts, modes).
OUTSIDE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "fal is away": (
        ("queue", "platform", "meta", "keys", "storage"),
        ("refused", "hung", "reset", "500", "html", "429", "slow"),
    ),
    "fal's queue is odd": (("queue",), ("junk", "429", "500", "hung", "answer late", "answer lost")),
    "fal's list is away": (("platform",), ("500", "hung", "junk")),
    "no keys can be had": (("keys",), ("500", "hung", "junk", "refused")),
    "the account is locked": (("queue", "storage"), ("locked",)),
    "our key is refused": (("queue", "storage"), ("key refused",)),
    "the CDN is away": (("cdn",), ("500", "hung", "refused", "html")),
    "Telegram is away": (("telegram",), ("refused", "hung", "reset", "500", "html", "telegram 429", "slow")),
    "Telegram's answers are lost": (("telegram",), ("answer lost", "answer late")),
    "the token is refused": (("telegram",), ("telegram 401",)),
    "webhooks are lost": (("webhooks",), ("lost",)),
    "fal's results are odd": (("results",), ("junk", "not yet", "gone", "500", "locked", "429", "hung", "answer late")),
    "the ping is away": (("ping",), ("500", "hung", "refused")),
}
INSIDE: dict[str, tuple[str, ...]] = {
    "the database is troubled": ("busy", "lost", "unknown", "hung", "conflict"),
    "the disk is full": ("full", "read-only"),
    "the disk fails": ("damaged",),
    "commits are deadly": ("deadly",),
}
WEIGHTS: dict[str, float] = {
    "fal is away": 2, "fal's queue is odd": 2, "fal's list is away": 1, "no keys can be had": 1, "the CDN is away": 1,
    "the account is locked": 1, "our key is refused": 0.5, "Telegram is away": 3, "Telegram's answers are lost": 2,
    "the token is refused": 0.5, "webhooks are lost": 2, "fal's results are odd": 2, "results are lost": 3,
    "fal forgets": 2, "fal fails": 1, "the ping is away": 1, "the database is troubled": 3, "the disk is full": 1,
    "the disk fails": 0.5, "commits are deadly": 3, "a process dies": 6, "a process freezes": 3,
    "both processes die": 2, "a deploy": 1.5, "nobody can be told": 2.5, "strangers come by": 3,
    "one replica rests": 1, "the server is away": 1, "the clock steps": 2.5, "the date is wrong": 1.5,
    "a certificate is replaced": 1.5, "fal has a new key": 2,
}  # fmt: skip
LASTS = (20, 60, 60, 240, 600, 1800)  # s
LONG = (3600, 7200)
STEPS = (-3.0, 3.0, -200.0, 200.0, -301.0, 301.0, -3600.0, 3600.0, -18_000.0, 18_000.0)  # s
LEAPS = (-100_000.0, 30_000.0, 100_000.0, 200_000.0)  # s
BESIDE = ((), ("keys", "meta"), ("telegram",), ("queue", "platform"))  # what is away while the date is wrong
QUIET = 600.0  # s
FAR = 3600.0  # s; a machine whose clock is so far off has been moved, at times: fal's webhooks do not find it
LATER = 1200.0  # s after the clock is right again until they do
UNTIL_FROZEN = 40  # half minutes that a process may need to ask for something


@dataclass(frozen=True, slots=True)
class Act:
    """Something that begins at a moment of the run; what it draws comes from its own seed."""

    at: float
    kind: str
    seed: str


def draw(chance: random.Random, days: float, each_day: float, seed: object) -> list[Act]:
    """Draw the troubles of a run; the first and the last minutes are quiet."""
    count = round(days * each_day)
    moments = sorted(chance.uniform(QUIET, max(days * 86400 - QUIET, QUIET + 1)) for _ in range(count))
    return [Act(at, one_of(chance, WEIGHTS), f"{seed}:act:{number}") for number, at in enumerate(moments)]


async def play(act: Act, world: Any) -> None:
    """Let a trouble happen, from its begin to its end."""
    chance = random.Random(act.seed)
    lasts = chance.choice(LASTS if chance.random() < 0.92 else LONG)
    match act.kind:
        case kind if kind in OUTSIDE:
            parts, modes = OUTSIDE[kind]
            mode, share = chance.choice(modes), chance.choice((1.0, 1.0, 0.5))
            if kind == "the account is locked" and share < 1:
                mode, share = "orders locked", 1.0
            await _lasting(world, act, [Trouble(part, mode, share) for part in parts], lasts)
        case kind if kind in INSIDE:
            mode = chance.choice(INSIDE[kind])
            share = {"damaged": 0.01, "deadly": 0.03}.get(mode, chance.choice((1.0, 0.3)))
            most = 240 if mode in ("damaged", "deadly") else 1800
            await _lasting(world, act, [Trouble("database", mode, share)], min(lasts, most))
        case kind:
            await PLAYED[kind](world, act, chance, lasts)


async def _lasting(world: Any, act: Act, troubles: list[Trouble], lasts: float) -> None:
    _tell(world, act, f"{troubles[0].mode} {troubles[0].share} for {lasts} s")
    numbers = world.weather.begin(*troubles)
    await asyncio.sleep(lasts)
    world.weather.end(numbers)
    world.ledger.note("world", f"ends: {act.kind}")


async def _kill(world: Any, act: Act, chance: random.Random, _lasts: float) -> None:
    _tell(world, act)
    for server in world.servers if act.kind.startswith("both") else [chance.choice(world.servers)]:
        if server.life is not None:
            server.life.die("by SIGKILL")
    world.crashes += 1
    world.weather.disturb()


async def _freeze(world: Any, act: Act, chance: random.Random, _lasts: float) -> None:
    """Suspend one process for longer than a lease, mostly: another one takes over, and then it goes on."""
    lasts = chance.choice((5.0, 30.0, 70.0, 120.0, 300.0, 900.0))
    _tell(world, act, f"for {lasts} s")
    life = chance.choice(world.servers).life
    numbers = world.weather.begin(Trouble("server", "frozen"))
    if life is not None:
        part = chance.choice(("telegram", "telegram", "queue", "cdn", None))
        if part is None:
            life.freeze(lasts)
        else:
            life.freezes = (part, lasts)
            for _ in range(UNTIL_FROZEN):
                await asyncio.sleep(30)
                if life.freezes is None or life.is_dead:
                    break
            life.freezes = None
    await asyncio.sleep(lasts)
    world.weather.end(numbers)


async def _deploy(world: Any, act: Act, chance: random.Random, _lasts: float) -> None:
    _tell(world, act)
    world.weather.disturb()
    for server in world.servers:
        server.stop(again=True)
        await asyncio.sleep(chance.choice((0, 5, 30)))
    world.weather.disturb()


async def _resting(world: Any, act: Act, chance: random.Random, lasts: float) -> None:
    _tell(world, act, f"for {lasts} s")
    resting = world.servers if act.kind == "the server is away" else [chance.choice(world.servers)]
    numbers = world.weather.begin(Trouble("server", "away")) if resting is world.servers else []
    for server in resting:
        server.stop(again=False)
    await asyncio.sleep(lasts)
    for server in resting:
        server.start()
    world.weather.end(numbers)


LOST = (Trouble("webhooks", "lost"),)


async def _forget(world: Any, act: Act, chance: random.Random, lasts: float) -> None:
    """Let fal lose requests before their time, while its list is away."""
    known = [one for one in world.courses.values() if one.request_id in world.fal.jobs and not one.acknowledged]
    for course in known[-3:]:
        world.fal.forget(course.request_id)
        world.ledger.note("fal", f"forgets {course.number}")
    await _lasting(world, act, [Trouble("platform", chance.choice(("500", "hung", "slow"))), *LOST], max(lasts, 400))


async def _lose(world: Any, act: Act, chance: random.Random, lasts: float) -> None:
    mode = chance.choice(OUTSIDE["fal's results are odd"][1])
    await _lasting(world, act, [Trouble("results", mode), *LOST], max(lasts, 1200))


async def _silence(world: Any, act: Act, chance: random.Random, lasts: float) -> None:
    both = [Trouble("database", "busy"), Trouble("telegram", chance.choice(("refused", "telegram 429")))]
    await _lasting(world, act, both, max(lasts, 240))


async def _be_strange(world: Any, act: Act, chance: random.Random, _lasts: float) -> None:
    _tell(world, act)
    await strangers.visit(world, chance)


async def _failing(world: Any, act: Act, _chance: random.Random, lasts: float) -> None:
    """Let nearly every training that begins now fail, as where a trainer was changed."""
    lasts = max(lasts, 1800)
    _tell(world, act, f"for {lasts} s")
    world.is_failing += 1
    await asyncio.sleep(lasts)
    world.is_failing -= 1


async def _stepping(world: Any, act: Act, chance: random.Random, lasts: float) -> None:
    away: tuple[str, ...] = ()
    step = chance.choice(STEPS)
    if act.kind == "the date is wrong":
        step, away, lasts = chance.choice(LEAPS), chance.choice(BESIDE), min(lasts, 600)
    is_unreachable = act.kind == "the clock steps" and abs(step) >= FAR and chance.random() < 0.5
    _tell(world, act, f"by {step} s for {lasts} s" + (", and nothing arrives until later" if is_unreachable else ""))
    numbers = world.weather.begin(Trouble("clock", "off"), *(Trouble(part, "500") for part in away))
    lost = world.weather.begin(Trouble("webhooks", "lost")) if is_unreachable else []
    world.clock_offset += step
    await asyncio.sleep(lasts)
    if not world.is_over:  # else the clock is right already
        world.clock_offset -= step
        world.weather.clock_went_back(step)
    world.weather.end(numbers)
    if lost:  # what was put off by the wrong clock is ended by nothing but its own look
        await asyncio.sleep(LATER)
        world.weather.end(lost)


def _tell(world: Any, act: Act, more: str = "") -> None:
    world.ledger.note("world", f"begins: {act.kind} {more}")


async def _respell(world: Any, act: Act, chance: random.Random, _lasts: float) -> None:
    _tell(world, act)
    await certificates.spoil(world, chance)


async def _rotate(world: Any, act: Act, _chance: random.Random, _lasts: float) -> None:
    _tell(world, act)
    world.fal.rotate()


PLAYED: dict[str, Callable[[Any, Act, random.Random, float], Awaitable[None]]] = {
    "a process dies": _kill, "both processes die": _kill, "a process freezes": _freeze, "a deploy": _deploy,
    "one replica rests": _resting, "the server is away": _resting, "the clock steps": _stepping,
    "the date is wrong": _stepping, "fal has a new key": _rotate, "fal fails": _failing, "fal forgets": _forget,
    "results are lost": _lose, "nobody can be told": _silence, "strangers come by": _be_strange,
    "a certificate is replaced": _respell,
}  # fmt: skip
