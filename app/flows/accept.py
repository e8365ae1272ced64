"""Verified bytes → inbox row, durable before anyone is answered."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from app.db.group_commit import GroupCommit
from app.db.inbox import Receipt
from app.domain.delivery import Delivery
from app.domain.errors import DatabaseUnavailable
from app.flows.ports import Clock

DEADLINE = 8.0  # s; fal waits 15, an answer is promised within 10

Inbox = GroupCommit[tuple[Delivery, datetime], Receipt]


class Accept:
    """Store a delivery, then wake the worker."""

    def __init__(self, inbox: Inbox, clock: Clock, wake: Callable[[], None]) -> None:
        self._inbox = inbox
        self._clock = clock
        self._wake = wake

    async def __call__(self, delivery: Delivery) -> Receipt:
        """Return once the row is durable.

        Raises DatabaseUnavailable; a row that is committed after the deadline counts as a repeat when fal retries.
        """
        try:
            async with asyncio.timeout(DEADLINE):
                receipt = await self._inbox.submit((delivery, self._clock.now()))
        except TimeoutError as error:
            raise DatabaseUnavailable(f"not stored within {DEADLINE:.0f} s") from error
        if receipt.new:
            self._wake()
        return receipt
