"""What an operator does by hand: redrive and ignore, with who and when."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import structlog

from app.db import addressing, drift, operator_queries, totals
from app.db.engine import Connection, Database
from app.db.operator_queries import Queue
from app.db.trainings import BotTables
from app.domain.decision import NOTHING_INVENTED
from app.domain.invented import Invented
from app.flows.ports import Clock

log = structlog.get_logger(__name__)


class Operation(StrEnum):
    """What may be done to a row by hand."""

    REDRIVE = "redrive"
    IGNORE = "ignore"


async def operate(
    database: Database,
    clock: Clock,
    queue: Queue,
    operation: Operation,
    *,
    ids: Sequence[int],
    who: str,
    via: str = "cli",
    invented: Invented = NOTHING_INVENTED,
) -> list[int]:
    """Redrive or ignore rows of a queue; return the ids that were changed.

    Redriving makes a buried, ignored or unsent row due at once with a clean count of failures; a pending one is
    only made due at once. A finished one stays finished, but for a delivery whose avatar has drifted since (`invented`
    as `decide` takes it). A message whose owner still has no chat id stays as it is. `via` names what the operator
    used, for the totals: `cli`, `api`, `dashboard`.
    """
    now = clock.now()
    note = f"{operation} by {who} at {now.isoformat(timespec='seconds')}"

    def change(connection: Connection) -> list[int]:
        match operation, queue:
            case Operation.IGNORE, _:
                return operator_queries.ignore(connection, queue, ids, note=note, now=now)
            case Operation.REDRIVE, Queue.NOTIFICATIONS:
                return operator_queries.redrive(connection, queue, _addressed(connection, ids), note=note, now=now)
        drifted = _drifted(connection, ids, invented, now)
        return operator_queries.redrive(connection, queue, ids, note=note, now=now, drifted=drifted)

    def change_and_count(connection: Connection) -> list[int]:
        found = change(connection)
        totals.add(connection, {totals.operated(operation, via): len(found)})
        return found

    changed = await database.write(change_and_count)
    log.info("operator.changed", queue=queue, operation=operation, ids=changed, who=who)
    return changed


def _drifted(connection: Connection, ids: Sequence[int], invented: Invented, now: datetime) -> list[int]:
    """Name done deliveries that may be applied again."""
    if not operator_queries.has_done(connection, ids):
        return []
    return drift.redrivable(connection, BotTables.find(connection), invented, ids, now)


def _addressed(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Leave out messages that have nowhere to go; where owners are whose stored id was no chat id is looked up anew."""
    homeless = addressing.unaddressed(connection, ids)
    if homeless:
        bot_tables = BotTables.find(connection)
        for row_id, owner_id in list(homeless.items()):
            if (chat_id := bot_tables.chat_id(connection, owner_id)) is not None:
                addressing.address(connection, row_id, chat_id)
                del homeless[row_id]
    return [row_id for row_id in ids if row_id not in homeless]
