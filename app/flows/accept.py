"""Verified bytes → inbox row, durable before anyone is answered."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from app.db import inbox
from app.db.engine import Database
from app.db.group_commit import GroupCommit
from app.db.inbox import Receipt
from app.domain.delivery import Delivery
from app.domain.measures import Measures
from app.flows.measuring import count_stored
from app.flows.ports import Clock

DEADLINE = 8.0  # s; fal waits 15, an answer is promised within 10


class Accept:
    """Store a delivery, then wake the worker. `run` writes until `close`; both belong to whoever starts it.

    `scrub` takes our secrets out of a body; `measures` count what was stored, and how long it took.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        wake: Callable[[], None],
        scrub: Callable[[bytes], bytes] = lambda body: body,
        measures: Measures | None = None,
    ) -> None:
        self._measures = measures or Measures()
        self._scrub = scrub
        self._clock = clock
        self._wake = wake
        self._inbox: GroupCommit[tuple[Delivery, datetime], Receipt] = GroupCommit(
            database, inbox.put, deadline=DEADLINE, after=self._stored, is_one_statement=True
        )
        self.run = self._inbox.run
        self.close = self._inbox.close
        self.is_crowded = self._inbox.is_crowded
        self.is_busy = self._inbox.is_busy
        self.is_running = self._inbox.is_running

    def __call__(self, delivery: Delivery) -> Awaitable[Receipt]:
        """Give back what is done once the row is durable.

        It raises DatabaseUnavailable; a row that is committed after the deadline counts as a repeat when fal retries.
        """
        body = self._scrub(delivery.body)
        if body is not delivery.body:  # its digest stays that of what fal signed
            delivery = delivery._replace(body=body)
        return self._inbox.submit((delivery, self._clock.now()))

    def _stored(self, group: Sequence[tuple[Delivery, datetime]], receipts: Sequence[Receipt]) -> None:
        count_stored(self._measures, group, receipts, self._clock.now())
        if any(receipt.new for receipt in receipts):
            self._wake()
