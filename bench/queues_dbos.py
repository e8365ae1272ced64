"""DBOS as a contender: a queue of its own, enqueued by DBOSClient, worked by DBOS.launch()."""

import asyncio
from typing import Any

from bench.queues_contenders import DBOS_POLL, JobBody, library

QUEUE, WORKFLOW, APP_VERSION = "bench", "trivial", "1"


class Dbos:
    """One DBOS application. Its default log level is lowered: a line per workflow is not what is measured."""

    _client: Any = None

    async def install(self, url: str) -> None:
        """Make its tables, in a process that is then over."""
        await asyncio.to_thread(self._launch, url, "install")
        await asyncio.to_thread(library("dbos").DBOS.destroy)

    async def open(self, url: str, executor: str, body: JobBody) -> None:
        """Get ready to enqueue and to work."""
        self._url, self._executor = url, executor
        self._client = await asyncio.to_thread(library("dbos").DBOSClient, system_database_url=_spelled(url))
        self._body = body

    async def enqueue(self, key: str) -> None:
        """Return once the job is durable."""
        options = {"queue_name": QUEUE, "workflow_name": WORKFLOW, "app_version": APP_VERSION}
        await self._client.enqueue_async(options, key)

    async def work(self) -> None:
        """Run jobs until cancelled."""
        await asyncio.to_thread(self._launch, self._url, self._executor, self._body)
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.to_thread(self._client.destroy)

    def _launch(self, url: str, executor: str, body: JobBody | None = None) -> None:
        dbos = library("dbos")
        dbos.DBOS(
            config={
                "name": "bench",
                "system_database_url": _spelled(url),
                "executor_id": executor,
                "application_version": APP_VERSION,
                "log_level": "WARNING",
                "run_admin_server": False,
            }
        )

        @dbos.DBOS.workflow(name=WORKFLOW)  # type: ignore[untyped-decorator]  # rivals are untyped here
        async def trivial(key: str) -> None:
            assert body is not None
            await body(key)

        dbos.DBOS.launch()
        dbos.DBOS.register_queue(QUEUE, polling_interval_sec=DBOS_POLL)


def _spelled(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def make() -> Dbos:
    """Build it."""
    return Dbos()
