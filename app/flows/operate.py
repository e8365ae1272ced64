"""What an operator does by hand: redrive and ignore, with who and when."""

from collections.abc import Sequence
from enum import StrEnum

import structlog

from app.db import desk, outbox
from app.db.desk import Queue
from app.db.engine import Database, Transaction
from app.db.trainings import BotTables
from app.flows.ports import Clock

log = structlog.get_logger(__name__)


class Operation(StrEnum):
    """What may be done to a row by hand."""

    REDRIVE = "redrive"
    IGNORE = "ignore"


async def operate(
    database: Database, clock: Clock, queue: Queue, operation: Operation, *, ids: Sequence[int], who: str
) -> list[int]:
    """Redrive or ignore rows of a queue; return the ids that were changed.

    Redriving makes a buried, ignored or unsent row due at once with a clean count of failures; a pending one is
    only made due at once. A finished one stays finished: redoing what is done is not an operator's tool.
    """
    now = clock.now()
    note = f"{operation} by {who} at {now.isoformat(timespec='seconds')}"
    change = desk.redrive if operation is Operation.REDRIVE else desk.ignore
    async with database.write() as transaction:
        changed = await change(transaction, queue, ids, note=note, now=now)
        if queue is Queue.NOTIFICATIONS and operation is Operation.REDRIVE:
            await _readdress(transaction, changed)
    log.info("operator.changed", queue=queue, operation=operation, ids=changed, who=who)
    return changed


async def _readdress(transaction: Transaction, ids: Sequence[int]) -> None:
    """Look up anew where an owner is whose stored id was no chat id when the message was owed."""
    unaddressed = await outbox.unaddressed(transaction, ids)
    if not unaddressed:
        return
    bot_tables = await BotTables.find(transaction)
    for row_id, owner_id in unaddressed.items():
        await outbox.address(transaction, row_id, await bot_tables.chat_id(transaction, owner_id))
