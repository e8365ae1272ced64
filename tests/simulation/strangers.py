"""Whoever else sends something: floods without a signature, bodies that never end, the operator's own test delivery."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import orjson

from app.fal import own_key
from app.flows.trial import PATH as TRIAL
from app.twins.signing import ACCOUNT, FalKey, sign
from tests.simulation.chance import one_of
from tests.simulation.course import digest
from tests.simulation.fal import ADDRESSES as OF_FAL
from tests.simulation.sender import JSON, PATH, WRONG_KEY
from tests.simulation.server import Broken, Refused
from tests.simulation.settings import PROXY

ADDRESSES = ("198.51.100.7", "2001:db8::7", "2001:db8::8", "::ffff:198.51.100.9", "fe80::1%eth0", "127.0.0.1", "here")
HOPS = ("198.51.100.7:99999", "unknown", "[2001:db8::1]:80", "[198.51.100.7]", "")
MANY = 30  # requests of one flood: more than an address may have refused, and logged
HELD = 40.0  # s for which a slow body is held open
LONG = 4_000_000  # bytes that one of them sends


async def visit(world: Any, chance: random.Random) -> None:
    """Do one of the things that strangers do, or the operator's `try`."""
    work = one_of(chance, {flood: 3, crowd: 4, scan: 2, try_it: 4})
    await work(world, chance)


async def flood(world: Any, chance: random.Random) -> None:
    """Send many deliveries that nobody of fal's signed, from one address."""
    address, key = chance.choice(ADDRESSES), chance.choice((WRONG_KEY, FalKey(bytes([9]) * 32)))
    for number in range(MANY):
        body = orjson.dumps({"request_id": f"flood-{number}", "status": "OK"})
        headers = {**JSON, **sign(key, f"flood-{number}", ACCOUNT, int(world.fal.time()), body)}
        status = await _ask(world, chance.choice(world.servers), address, ("POST", PATH, headers, body))
        if status is not None:
            world.hold(world.checker.forged, "a flood", status)
        await asyncio.sleep(chance.choice((0.0, 0.1, 1.0)))


async def crowd(world: Any, chance: random.Random) -> None:
    """Begin bodies and do not end them, from few addresses or from many."""
    is_one = chance.random() < 0.4
    limit = world.settings.max_body_bytes
    addresses = [f"198.51.100.{number}" for number in range(MANY)] + [one for one in OF_FAL for _ in range(6)]
    if is_one:
        addresses = [OF_FAL[0]] * 6
    key = world.fal.keys[-1]
    server = chance.choice(world.servers)
    headers = {**JSON, **sign(key, "slow", ACCOUNT, int(world.fal.time()) - chance.choice((0, 900)), b"")}
    size = min(limit - 1, LONG)
    asked = [
        server.ask("POST", PATH, headers, b"x" * size, address=address, patience=HELD, is_slow=True)
        for address in addresses
    ]
    for said in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(said, BaseException) and not isinstance(said, (Refused, Broken, TimeoutError)):
            raise said
    world.ledger.note("stranger", f"begins {len(addresses)} bodies of {size} bytes")


async def scan(world: Any, chance: random.Random) -> None:
    """Try paths and methods that are none."""
    for path in ("/", "/.env", "/api/v1/jobs", "/metrics", "/api/v1/webhook/status", "/dashboard", PATH):
        method = chance.choice(("GET", "POST", "PUT"))
        request = (method, path, dict(JSON), b"{}" * (method != "GET"))
        if chance.random() < 0.5:
            request[2]["X-Forwarded-For"] = chance.choice(HOPS)
        await _ask(world, chance.choice(world.servers), chance.choice((*ADDRESSES, PROXY)), request)


async def try_it(world: Any, chance: random.Random) -> None:
    """Send the operator's test delivery, as `aisha-webhook try` does."""
    path = world.folder / own_key.FILE
    if not path.exists():
        return
    for number in range(chance.choice((1, 2))):
        name = f"test-{chance.getrandbits(96):024x}"
        body = orjson.dumps({"request_id": name, "status": "OK", "payload": {"number": number}})
        headers = {**JSON, **own_key.sign(own_key.load(path), name, int(world.fal.time()), digest(body))}
        await _ask(world, chance.choice(world.servers), "127.0.0.1", ("POST", TRIAL, headers, body))


async def _ask(world: Any, server: Any, address: str, request: tuple[str, str, dict[str, str], bytes]) -> int | None:
    (method, path, headers, body), status = request, None
    with suppress(Refused, Broken, TimeoutError):
        status, _ = await server.ask(method, path, headers, body, address=address, patience=30.0)
    world.ledger.note("stranger", f"{method} {path} from {address}: {status}")
    return status
