"""procrastinate as a contender, with the periodic task for stalled jobs that its documentation shows."""

from typing import Any

from bench.queues_contenders import LEASE, JobBody, library

CONCURRENCY = 64


class Procrastinate:
    """One procrastinate application."""

    _app: Any = None
    _task: Any = None

    async def install(self, url: str) -> None:
        """Make its tables."""
        app = self._make(url)
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    async def open(self, url: str, executor: str, body: JobBody) -> None:
        """Get ready to enqueue and to work."""
        del executor  # workers get a number from the database
        self._app = self._make(url)

        @self._app.task(name="trivial", retry=True)  # type: ignore[untyped-decorator]  # rivals are untyped here
        async def trivial(key: str) -> None:
            await body(key)

        @self._app.periodic(cron="* * * * * */5")  # type: ignore[untyped-decorator]  # rivals are untyped
        @self._app.task(name="retry_stalled_jobs", queueing_lock="retry_stalled_jobs", pass_context=True)  # type: ignore[untyped-decorator]  # rivals are untyped
        async def retry_stalled_jobs(context: Any, timestamp: int) -> None:
            del timestamp
            for job in await context.app.job_manager.get_stalled_jobs(seconds_since_heartbeat=LEASE):
                await context.app.job_manager.retry_job(job)

        self._task = trivial
        await self._app.open_async()

    async def enqueue(self, key: str) -> None:
        """Return once the job is durable."""
        await self._task.defer_async(key=key)

    async def work(self) -> None:
        """Run jobs until cancelled."""
        await self._app.run_worker_async(
            concurrency=CONCURRENCY,
            install_signal_handlers=False,
            update_heartbeat_interval=LEASE / 3,
            stalled_worker_timeout=LEASE,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._app.close_async()

    @staticmethod
    def _make(url: str) -> Any:
        procrastinate = library("procrastinate")
        return procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, min_size=10, max_size=10))


def make() -> Procrastinate:
    """Build it."""
    return Procrastinate()
