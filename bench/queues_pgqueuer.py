"""PgQueuer as a contender: an asyncpg pool to enqueue, a connection of its own to work."""

from datetime import timedelta
from typing import Any

from bench.queues_contenders import LEASE, JobBody, library

BATCH = 100
POLL = 5  # s; its default is 30


class PgQueuer:
    """One PgQueuer application."""

    _pool: Any = None
    _connection: Any = None
    _queuer: Any = None
    _queries: Any = None

    async def install(self, url: str) -> None:
        """Make its tables."""
        connection = await library("asyncpg").connect(url)
        await library("pgqueuer.queries").Queries(library("pgqueuer.db").AsyncpgDriver(connection)).install()
        await connection.close()

    async def open(self, url: str, executor: str, body: JobBody) -> None:
        """Get ready to enqueue and to work."""
        del executor  # workers name themselves
        asyncpg, db = library("asyncpg"), library("pgqueuer.db")
        self._pool = await asyncpg.create_pool(url, min_size=10, max_size=10)
        self._queries = library("pgqueuer.queries").Queries(db.AsyncpgPoolDriver(self._pool))
        self._connection = await asyncpg.connect(url)
        self._queuer = library("pgqueuer").PgQueuer(db.AsyncpgDriver(self._connection))

        @self._queuer.entrypoint("trivial")  # type: ignore[untyped-decorator]  # rivals are untyped here
        async def trivial(job: Any) -> None:
            await body(job.payload.decode())

    async def enqueue(self, key: str) -> None:
        """Return once the job is durable."""
        await self._queries.enqueue("trivial", key.encode())

    async def work(self) -> None:
        """Run jobs until cancelled."""
        await self._queuer.run(
            batch_size=BATCH, dequeue_timeout=timedelta(seconds=POLL), heartbeat_timeout=timedelta(seconds=LEASE)
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._connection.close()
        await self._pool.close()


def make() -> PgQueuer:
    """Build it."""
    return PgQueuer()
