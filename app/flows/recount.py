"""Totals that are kept → compared with the rows themselves, once an hour, on one replica.

They differ where a server of an older version, or somebody by hand, changed rows without counting.
"""

from datetime import timedelta

import structlog

from app.db import chores, totals
from app.db.engine import Connection, Database
from app.flows.ports import Clock

log = structlog.get_logger(__name__)

NAME = "recount"
EVERY = timedelta(hours=1)


class Recount:
    """Counts really and puts right what differs."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def __call__(self) -> int:
        """Run the chore if it is due; return how many totals were wrong. Raises DatabaseUnavailable.

        The lease is as long as the time between two ticks: a count that broke is made in the next hour, not again and
        again.
        """
        if not await self._database.write(chores.claim, NAME, now=self._clock.now(), lease=EVERY, every=EVERY):
            return 0
        wrong: dict[str, int] = {}
        for queue in totals.STATES:
            short = await self._database.read(totals.differences, queue)
            await self._database.write(totals.add, short)
            wrong |= short
        await self._database.write(self._finish)
        if wrong:
            log.warning("totals.corrected", differences=wrong)
        return len(wrong)

    def _finish(self, connection: Connection) -> None:
        totals.fold(connection)
        chores.finish(connection, NAME, now=self._clock.now(), every=EVERY, reason="done")
