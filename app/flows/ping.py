"""A dead man's switch: an address of somebody else's is fetched every minute while all is well.

Who watches it hears of us when the fetching stops, whatever the reason: also where Telegram is what fails.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from app.db import alerts
from app.db.engine import Database
from app.flows.steps import Steps
from app.flows.write_check import WriteCheck

log = structlog.get_logger(__name__)


@dataclass(eq=False, repr=False, slots=True)
class Ping:
    """Fetches while no step fails, the database takes writes, and no critical alert is open.

    `fetch` returns None, or in a word why nothing was fetched; without one nothing is done.
    """

    database: Database
    write_check: WriteCheck
    steps: Steps
    fetch: Callable[[], Awaitable[str | None]] | None
    _trouble: str | None = field(default=None, init=False)

    async def __call__(self) -> int:
        """Fetch once if all is well; return how often that succeeded. Raises DatabaseUnavailable."""
        if self.fetch is None or self.steps.failing():
            return 0
        await self.write_check()
        if await self.database.read(alerts.has_critical):
            return 0
        trouble = await self.fetch()
        if trouble is not None and trouble != self._trouble:
            log.warning("ping.failed", why=trouble)
        self._trouble = trouble
        return int(trouble is None)
