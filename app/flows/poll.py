"""Is anything due? One query over the queues wakes whoever has work."""

from collections.abc import Callable

from app.db import queue
from app.db.engine import Database
from app.db.jobs import ASKED
from app.db.tables import deliveries, jobs, notifications
from app.flows.ports import Clock

QUEUES = (deliveries, notifications, jobs)
CLAIMED = {jobs: ASKED}  # else a job whose delivery waits would have `reconcile` woken in vain, every second


class Poll:
    """Finds what no wake-up told of: retries whose time has come, leases that ran out, another process's rows.

    One query that locks nothing, because it runs every second for ever; a claim of each would cost four times as much.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        wake_apply: Callable[[], None],
        wake_notify: Callable[[], None],
        wake_reconcile: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._wakes = (wake_apply, wake_notify, wake_reconcile)

    async def __call__(self) -> None:
        """Poll once. Raises DatabaseUnavailable."""
        due = await self._database.read(queue.due_tables, QUEUES, self._clock.now(), CLAIMED)
        for is_due, wake in zip(due, self._wakes, strict=True):
            if is_due:
                wake()
