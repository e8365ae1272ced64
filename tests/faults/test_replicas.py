"""Fault 23: two replicas on one PostgreSQL, the same delivery at the same moment; one of them dies in mid-work."""

import asyncio
import signal
import time

import pytest

from app.twins.faults import Slow
from tests.faults.rig import Rig, dice, full_only, job, many, tell, until
from tests.ports import free_port

pytestmark = pytest.mark.anyio

LEASE = 15  # s, the least that may be set


async def test_the_same_delivery_on_two_replicas_is_applied_and_told_once(postgres_rig: Rig) -> None:
    """Posted to both at once, each round is answered 200 twice, applied once and told once (fault 23)."""
    rounds = many(200, 15)
    other = free_port()
    postgres_rig.train([job(number)[0] for number in range(rounds)])
    await postgres_rig.start()
    await postgres_rig.start(port=other)
    together = 0
    begun = time.monotonic()
    async with postgres_rig.sender() as left, postgres_rig.sender(port=other) as right:
        for number in range(rounds):
            pair = job(number)
            answers = await asyncio.gather(left.post(*pair), right.post(*pair))
            assert [answer.status for answer in answers] == [200, 200]
            together += abs(answers[0].at - answers[1].at) < 0.002
    await postgres_rig.settled()
    figures = postgres_rig.check()
    assert figures.applied == figures.messages == rounds
    repeats = postgres_rig.rows("SELECT sum(repeats) AS n FROM webhook_deliveries")[0]["n"]
    assert repeats == rounds
    seconds = round(time.monotonic() - begun, 1)
    tell("races", rounds=rounds, within_2_ms=together, repeats=repeats, seconds=seconds, figures=figures)


@full_only
async def test_the_other_replica_finishes_what_a_killed_one_had_begun(postgres_rig: Rig) -> None:
    """Killed in mid-work: everything is applied and told by the other within the lease and 5 s (fault 1)."""
    chance = dice("killed replica")
    other = free_port()
    took: list[float] = []
    held: list[int] = []
    survivor = await postgres_rig.start(port=other, LEASE_SECONDS=str(LEASE))
    first = 0
    for _ in range(many(5, 1)):
        victim = await postgres_rig.start(LEASE_SECONDS=str(LEASE))
        jobs = [job(number) for number in range(first, first + 60)]
        first += 60
        postgres_rig.train([request_id for request_id, _ in jobs])
        # Messages take their time, so that there is work to be in the middle of; and nobody else takes it.
        survivor.process.send_signal(signal.SIGSTOP)
        postgres_rig.outside.telegram.fail(Slow(1.0), standing=True)
        async with postgres_rig.sender(speed=60) as fal:
            delivering = asyncio.create_task(fal.deliver_all(jobs, at_once=16))
            await until(lambda: _under_way(postgres_rig) > 0, 10, every=0.01)
            await asyncio.sleep(chance.uniform(0, 0.8))
            await victim.stop(signal.SIGKILL)
            killed = time.monotonic()
            postgres_rig.crashes += 60  # each message under way may have been accepted unheard
            held.append(_under_way(postgres_rig))
            survivor.process.send_signal(signal.SIGCONT)
            # Those whom nobody answered come again, to the one that is left.
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
        postgres_rig.outside.telegram.mend()
        async with postgres_rig.sender(speed=60, port=other) as fal:
            await fal.deliver_all(jobs)
        await postgres_rig.settled(LEASE + 30)
        took.append(time.monotonic() - killed)
    figures = postgres_rig.check(healed_after=max(took))
    tell("killed replica", kills=len(took), under_way=held, finished_after=[round(t, 1) for t in took], figures=figures)
    assert min(held) > 0
    assert max(took) <= LEASE + 5


def _under_way(rig: Rig) -> int:
    return rig.count("webhook_notifications", "state = 'pending' AND reason = 'sending'")
