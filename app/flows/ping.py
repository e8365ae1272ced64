"""A dead man's switch: an address of somebody else's is fetched every minute while all is well.

Who watches it hears of us when the fetching stops, whatever the reason: also where Telegram is what fails.
"""

from collections.abc import Awaitable, Callable

import structlog

from app.db import alerts
from app.db.engine import Database
from app.flows.steps import Steps
from app.flows.write_check import WriteCheck

log = structlog.get_logger(__name__)


class Ping:
    """Fetches while no step fails, the database takes writes, and no critical alert is open.

    `fetch` returns None, or in a word why nothing was fetched; without one nothing is done.
    """

    def __init__(
        self,
        database: Database,
        write_check: WriteCheck,
        steps: Steps,
        fetch: Callable[[], Awaitable[str | None]] | None,
    ) -> None:
        self._database = database
        self._write_check = write_check
        self._steps = steps
        self._fetch = fetch
        self._trouble: str | None = None

    async def __call__(self) -> int:
        """Fetch once if all is well; return how often that succeeded. Raises DatabaseUnavailable."""
        if self._fetch is None or self._steps.failing():
            return 0
        await self._write_check()
        if await self._database.read(alerts.has_critical):
            return 0
        trouble = await self._fetch()
        if trouble is not None and trouble != self._trouble:
            log.warning("ping.failed", why=trouble)
        self._trouble = trouble
        return int(trouble is None)
