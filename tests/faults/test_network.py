"""Faults 10 and 14: a network between us and PostgreSQL that loses, cuts and mutes; a machine without memory.

Loss is real where root may filter (nftables): every third packet of the database's port is dropped on the loopback,
and TCP does the rest. Elsewhere, and for what a filter cannot stage, `Relay` cuts connections: with a reset in the
middle of a statement, or silently and for ever, which leaves both ends half open.
"""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster
from tests.faults.rig import Rig, dice, full_only, get, job, many, tell, until
from tests.faults.wire import Relay

pytestmark = pytest.mark.anyio

ANSWERS = {200, 503}
HEALED_WITHIN = 60.0  # s (I6)
LEASE = "30"  # s; a claim whose commit lost its answer waits for it, and the default of 60 would use up all of I6
SPEED = 60.0  # of fal's retries
ROOM = 40 << 20  # bytes beyond what the server has, at first
TABLE = "aisha_faults"
LOST, ALL = 30, 100  # of a hundred packets
NFT = shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or "nft"  # noqa: TID251  tools of the system


def _nft(*words: str) -> bool:
    try:
        return subprocess.run([NFT, *words], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _may_filter() -> bool:
    """Try it: root in a container often may not."""
    name = f"{TABLE}_try_{os.getpid()}"
    return os.geteuid() == 0 and _nft("add", "table", "inet", name) and _nft("delete", "table", "inet", name)


@contextmanager
def losing(port: int, percent: int) -> Iterator[None]:
    """Drop packets from and to one port of the loopback; nothing else on the machine is touched."""
    table = f"{TABLE}_{port}"
    assert _nft("add", "table", "inet", table)
    try:
        assert _nft("add", "chain", "inet", table, "loss", "{ type filter hook input priority 0; }")
        for end in ("dport", "sport"):
            chance = f"numgen random mod 100 < {percent}" if percent < ALL else ""
            rule = f"iifname lo tcp {end} {port} {chance} drop"
            assert _nft("add", "rule", "inet", table, "loss", *rule.split())
        yield
    finally:
        assert _nft("delete", "table", "inet", table)


class Traffic:
    """Deliveries, one after the other from several clients, and what was answered."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.sent = 0
        self.last_ok = 0.0
        self._stop = asyncio.Event()

    async def run(self, most: int = many(2000, 200), clients: int = 4) -> None:
        self.rig.train([job(number)[0] for number in range(most)])
        async with self.rig.sender(speed=SPEED) as fal:

            async def client() -> None:
                while not self._stop.is_set() and self.sent < most:
                    number, self.sent = self.sent, self.sent + 1
                    await fal.deliver(*job(number))
                    self.last_ok = time.monotonic()
                    await asyncio.sleep(0.05)

            await asyncio.gather(*(client() for _ in range(clients)))

    def end(self) -> None:
        self._stop.set()

    def statuses(self) -> Counter[object]:
        attempts = [attempt for record in self.rig.records for attempt in record.attempts]
        return Counter(attempt.status or attempt.error for attempt in attempts)


async def heals(name: str, rig: Rig, traffic: Traffic, running: "asyncio.Task[None]", **figures: object) -> None:
    """The trouble is over: a delivery is stored, the server is ready, all is applied and told; within 60 s in all."""
    over = time.monotonic()
    await until(lambda: traffic.last_ok > over, HEALED_WITHIN)
    await rig.ready(within=HEALED_WITHIN)
    healed = time.monotonic() - over
    traffic.end()
    await asyncio.wait_for(running, HEALED_WITHIN)
    settled = await rig.settled(HEALED_WITHIN)
    statuses = traffic.statuses()
    tell(name, healed_after=round(healed, 1), settled_after=round(settled, 1), statuses=dict(statuses), **figures)
    tell(name, figures=rig.check(healed_after=healed))
    assert {status for status in statuses if isinstance(status, int)} <= ANSWERS


@full_only
@pytest.mark.skipif(not _may_filter(), reason="needs root that may filter, and nftables")
async def test_packet_loss_to_postgresql_costs_time_and_nothing_else(postgres_rig: Rig, cluster: Cluster) -> None:
    """30% of the packets lost: 200 or 503 within 10 s, never 500, all is well again within 60 s (fault 10)."""
    await postgres_rig.start(LEASE_SECONDS=LEASE)
    traffic = Traffic(postgres_rig)
    running = asyncio.create_task(traffic.run())
    await asyncio.sleep(1)
    before = traffic.sent
    await asyncio.to_thread(_lose_for, cluster.port, 30)
    await heals("packet loss", postgres_rig, traffic, running, sent_meanwhile=traffic.sent - before)


def _lose_for(port: int, seconds: float) -> None:
    with losing(port, LOST):
        time.sleep(seconds)


@full_only
@pytest.mark.skipif(not _may_filter(), reason="needs root that may filter, and nftables")
async def test_a_network_that_is_cut_altogether_comes_back(postgres_rig: Rig, cluster: Cluster) -> None:
    """Every packet lost for 25 s, longer than any patience: 503 in time, then healed (faults 9, 10)."""
    await postgres_rig.start(LEASE_SECONDS=LEASE)
    traffic = Traffic(postgres_rig)
    running = asyncio.create_task(traffic.run())
    await asyncio.sleep(2)
    with losing(cluster.port, ALL):
        await postgres_rig.ready(within=15, wanted=503)
        await asyncio.sleep(25)
        assert (await get(f"{postgres_rig.url}/livez"))[0] == 200
    await heals("network cut", postgres_rig, traffic, running)


@pytest.mark.parametrize(
    "silent", [pytest.param(False, id="reset"), pytest.param(True, id="half-open", marks=full_only)]
)
async def test_connections_cut_again_and_again_are_replaced(postgres_rig: Rig, cluster: Cluster, silent: bool) -> None:
    """Cut at random moments, in the middle of statements too: no 500, nothing lost or repeated (fault 10)."""
    chance = dice(f"connections cut, silent={silent}")
    relay = Cutting(cluster.port)
    async with relay.serving():
        through = postgres_rig.database_url.replace(f":{cluster.port}/", f":{relay.port}/")
        await postgres_rig.start(DATABASE_URL=through, LEASE_SECONDS=LEASE)
        traffic = Traffic(postgres_rig)
        running = asyncio.create_task(traffic.run())
        cuts = await relay.cut_at_random(chance, 3 if silent else many(40, 4), silent=silent)
        await heals(f"connections {'muted' if silent else 'reset'}", postgres_rig, traffic, running, cuts=cuts)


class Cutting(Relay):
    """A relay that can also reset what passes through it."""

    def reset(self) -> int:
        """Abort every connection there is, at both ends; return how many."""
        passing, self._open = len(self._open), []
        for writer in self._writers:
            writer.transport.abort()
        self._writers = []
        return passing

    async def cut_at_random(self, chance: random.Random, times: int, *, silent: bool) -> int:
        """Cut all connections `times` times; muted ones need as long as a statement may take to be noticed."""
        cuts = 0
        for _ in range(times):
            await asyncio.sleep(chance.uniform(8, 12) if silent else chance.uniform(0.05, 0.6))
            cuts += self.drop() if silent else self.reset()
        return cuts


@full_only
@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit")
async def test_a_server_that_runs_out_of_memory_starts_again_and_has_lost_nothing(sqlite_rig: Rig) -> None:
    """Its address space is taken away under load, then it is killed: what was acknowledged is there (fault 14)."""
    server = await sqlite_rig.start(LEASE_SECONDS="15")
    traffic = Traffic(sqlite_rig)
    running = asyncio.create_task(traffic.run(most=600))
    await asyncio.sleep(1)
    used = _address_space(server.pid)
    for margin in (ROOM, 1 << 20, 0):
        _limit(server.pid, used + margin)
        await asyncio.sleep(2)
    alive = server.process.returncode is None
    if alive:  # what the kernel does when memory is gone
        os.kill(server.pid, signal.SIGKILL)
    code = await server.ended()
    stored = sqlite_rig.count("webhook_deliveries")
    # One crash, but Telegram may have taken each message that was under way; the checker counts them singly.
    sqlite_rig.crashes = sqlite_rig.count("webhook_notifications", "state = 'pending'")
    sqlite_rig.end_leases()
    await sqlite_rig.start(LEASE_SECONDS="15")
    await heals("memory", sqlite_rig, traffic, running, lived_on=alive, exit_code=code, stored_before=stored)


def _address_space(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _limit(pid: int, size: int) -> None:
    # it may have died of the limit before
    subprocess.run(["prlimit", "--pid", str(pid), f"--as={size}"], check=False, stderr=subprocess.DEVNULL)
