"""Our queue as a contender: Accept and its group commit, the worker's loop, claims and fenced finishes."""

import asyncio
import contextlib
import hashlib
from datetime import timedelta

from app.core.clock import SystemClock
from app.db import inbox
from app.db.engine import open_database
from app.db.migrate import migrate
from app.db.wake import WakeTopic, listen
from app.domain.delivery import Delivery
from app.domain.verdict import Done
from app.flows.accept import Accept
from app.flows.apply import BATCH
from app.flows.poll import Poll
from app.worker import STUCK, Routine, Worker, _draining, _every
from bench.queues_contenders import LEASE, JobBody

POLL = 1.0  # s; the default of POLL_INTERVAL


class Ours:
    """The inbox with a trivial job in place of Apply: what a job costs before it does anything."""

    async def install(self, url: str) -> None:
        """Make its tables."""
        await asyncio.to_thread(migrate, url)

    async def open(self, url: str, executor: str, body: JobBody) -> None:
        """Get ready to enqueue and to work."""
        del executor  # nobody needs a name here
        self._body = body
        self._clock = SystemClock()
        self._database = open_database(url)
        wake = asyncio.Event()
        self._accept = Accept(self._database, self._clock, wake.set)
        poll = Poll(self._database, self._clock, wake_apply=wake.set, wake_notify=wake.set, wake_reconcile=wake.set)
        jobs = [
            Routine("poll", _every(timedelta(seconds=POLL), poll), STUCK),
            Routine("trivial", _draining(self._turn), STUCK, wake),
        ]
        self._worker = Worker(jobs)
        self._tasks = [asyncio.create_task(self._accept.run())]
        if not self._database.is_sqlite:
            self._tasks.append(asyncio.create_task(listen(url, {WakeTopic.INBOX: wake.set})))

    async def enqueue(self, key: str) -> None:
        """Return once the job is durable."""
        data = key.encode()
        await self._accept(Delivery(key, data, hashlib.sha256(data).hexdigest(), {}, self._clock.now()))

    async def work(self) -> None:
        """Run jobs until cancelled."""
        await self._worker.run()

    async def close(self) -> None:
        """Close every connection."""
        self._accept.close()
        await self._tasks[0]
        for task in self._tasks[1:]:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._database.close()

    async def _turn(self) -> int:
        now = self._clock.now()
        with self._database.engine.begin() as transaction:
            claimed = inbox.claim(transaction, now=now, lease_until=now + timedelta(seconds=LEASE), limit=BATCH)
        for item in claimed:
            await self._body(item.request_id)
        done = [inbox.Finished(item, Done("trivial"), None) for item in claimed]
        with self._database.engine.begin() as transaction:
            inbox.finish(transaction, done, self._clock.now())
        return len(claimed)


def make() -> Ours:
    """Build it."""
    return Ours()
