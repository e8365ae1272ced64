"""What an operator does by hand: redrive and ignore, with who and when."""

from collections.abc import Sequence
from enum import StrEnum

import structlog

from app.db import operator_queries, outbox
from app.db.engine import Connection, Database
from app.db.operator_queries import Queue
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
    only made due at once. A finished one stays finished. A message whose owner still has no chat id stays as it is.
    """
    now = clock.now()
    note = f"{operation} by {who} at {now.isoformat(timespec='seconds')}"
    act = operator_queries.redrive if operation is Operation.REDRIVE else operator_queries.ignore

    def change(connection: Connection) -> list[int]:
        addressed = queue is Queue.NOTIFICATIONS and operation is Operation.REDRIVE
        wanted = _addressed(connection, ids) if addressed else ids
        return act(connection, queue, wanted, note=note, now=now)

    changed = await database.write(change)
    log.info("operator.changed", queue=queue, operation=operation, ids=changed, who=who)
    return changed


def _addressed(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Leave out messages that have nowhere to go; where owners are whose stored id was no chat id is looked up anew."""
    homeless = outbox.unaddressed(connection, ids)
    if homeless:
        bot_tables = BotTables.find(connection)
        for row_id, owner_id in list(homeless.items()):
            if (chat_id := bot_tables.chat_id(connection, owner_id)) is not None:
                outbox.address(connection, row_id, chat_id)
                del homeless[row_id]
    return [row_id for row_id in ids if row_id not in homeless]
