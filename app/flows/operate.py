"""What an operator does by hand: redrive and ignore, with who and when."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import structlog

from app.db import drift, operator_queries, totals
from app.db.engine import Connection, Database
from app.db.operator_queries import Act, Queue
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
    why: str | None = None,
    via: str = "cli",
    invented: Invented = NOTHING_INVENTED,
) -> list[int]:
    """Redrive or ignore rows of a queue; return the ids that were changed. `why` is kept in the history.

    Redriving makes a buried, ignored or unsent row due at once with a clean count of failures; a pending one is
    only made due at once. A finished one stays finished, but for a delivery whose avatar has drifted since (`invented`
    as `decide` takes it). A message whose owner still has no chat id stays as it is. `via` names what the operator
    used, for the totals: `cli`, `api`, `dashboard`.
    """
    now = clock.now()
    act = Act(who, why, via)
    changed = await database.write(change_rows, queue, operation, ids, act=act, invented=invented, now=now)
    log.info("operator.changed", queue=queue, operation=operation, ids=changed, who=who)
    return changed


def change_rows(
    connection: Connection,
    queue: Queue,
    operation: Operation,
    ids: Sequence[int],
    *,
    act: Act,
    invented: Invented,
    now: datetime,
) -> list[int]:
    """Redrive or ignore rows within a transaction, as `operate` does; return the ids that were changed."""
    note = f"{operation} by {act.who} at {now.isoformat(timespec='seconds')}"
    match operation, queue:
        case Operation.IGNORE, _:
            changed = operator_queries.ignore(connection, queue, ids, note=note, now=now, act=act)
        case Operation.REDRIVE, Queue.NOTIFICATIONS:
            addressed = _addressed(connection, ids)
            changed = operator_queries.redrive(connection, queue, addressed, note=note, now=now, act=act)
        case Operation.REDRIVE, _:
            drifted = _drifted(connection, ids, invented, now)
            changed = operator_queries.redrive(connection, queue, ids, note=note, now=now, drifted=drifted, act=act)
    totals.add(connection, {totals.operated(operation, act.via): len(changed)})
    return changed


def _drifted(connection: Connection, ids: Sequence[int], invented: Invented, now: datetime) -> list[int]:
    """Name done deliveries that may be applied again."""
    if not operator_queries.has_done(connection, ids):
        return []
    return drift.redrivable(connection, BotTables.find(connection), invented, ids, now)


def _addressed(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Leave out messages that have nowhere to go; where owners are whose stored id was no chat id is looked up anew."""
    homeless = operator_queries.unaddressed(connection, ids)
    if homeless:
        bot_tables = BotTables.find(connection)
        for row_id, owner_id in list(homeless.items()):
            if (chat_id := bot_tables.chat_id(connection, owner_id)) is not None:
                operator_queries.address(connection, row_id, chat_id)
                del homeless[row_id]
    return [row_id for row_id in ids if row_id not in homeless]
