"""A rehearsed act on many rows: in batches, with progress, until it is done or cancelled."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace

import structlog

from app.db import act_progress, rehearsing
from app.db.act_progress import ActProgress
from app.db.engine import Connection, Database
from app.db.operator_queries import Act, Queue
from app.db.rehearsing import RowStand
from app.domain.decision import NOTHING_INVENTED
from app.domain.errors import RowsChanged
from app.domain.invented import Invented
from app.flows.operate import Operation, change_rows
from app.flows.ports import Clock
from app.flows.rehearse import digest_of

BATCH = 100  # rows of one commit
CHANGED = "things have changed since they were rehearsed: nothing was done"

log = structlog.get_logger(__name__)


@dataclass(eq=False, repr=False, slots=True)
class BulkAct:
    """One act on rows as they stood when they were rehearsed. `done` of `total` rows are behind it.

    `changed` are the ids that it changed. Rows that somebody else changed meanwhile are left as they are. With a `name`
    each batch says in the history how far the act is, and any replica may stop it.
    """

    database: Database
    clock: Clock
    queue: Queue
    operation: Operation
    rows: Sequence[RowStand]
    _: KW_ONLY
    act: Act
    invented: Invented = NOTHING_INVENTED
    name: str | None = None
    done: int = field(default=0, init=False)
    changed: list[int] = field(default_factory=list, init=False)
    is_cancelled: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if not (self.act.why or "").strip():
            raise ValueError("an act on many rows wants a reason")

    @property
    def total(self) -> int:
        """Count the rows."""
        return len(self.rows)

    def cancel(self) -> None:
        """Stop before the next batch; what is done stays done."""
        self.is_cancelled = True

    @property
    def progress(self) -> ActProgress:
        """Say how far it is."""
        return ActProgress(
            self.operation.value, self.queue.value, self.done, self.total, len(self.changed), self.is_cancelled
        )

    async def note(self) -> None:
        """Let every replica know how far it is. Raises DatabaseUnavailable."""
        if self.name is not None:
            await self.database.write(act_progress.went_on, self.name, self.progress, self.clock.now())

    async def run(self, on_progress: Callable[[], None] = lambda: None) -> list[int]:
        """Act; return the ids that were changed. Raises DatabaseUnavailable, and may then be run again."""
        while self.done < self.total and not self.is_cancelled:
            batch = self.rows[self.done : self.done + BATCH]
            changed = await self.database.write(self._take, batch)
            if changed is None:
                self.cancel()
                break
            self.changed += changed
            self.done += len(batch)
            log.info("operator.changed", queue=self.queue, operation=self.operation, ids=changed, who=self.act.who)
            on_progress()
            await asyncio.sleep(0)  # whoever cancels gets a turn
        if self.is_cancelled:
            await self.note()
        return self.changed

    def _take(self, connection: Connection, batch: Sequence[RowStand]) -> list[int] | None:
        """Change one batch and say so; None where the act was stopped, and nothing is changed."""
        if self.name is None:
            return self._change(connection, batch)
        if act_progress.is_stopped(connection, self.name):
            return None
        changed = self._change(connection, batch)
        so_far = replace(self.progress, done=self.done + len(batch), changed=len(self.changed) + len(changed))
        act_progress.went_on(connection, self.name, so_far, self.clock.now())
        return changed

    def _change(self, connection: Connection, batch: Sequence[RowStand]) -> list[int]:
        meant = set(batch)
        standing = rehearsing.stands(connection, self.queue, [row.id for row in batch])
        ids = [row.id for row in standing if row in meant]
        if not ids:
            return []
        return change_rows(
            connection,
            self.queue,
            self.operation,
            ids,
            act=self.act,
            invented=self.invented,
            now=self.clock.now(),
        )


async def require_unchanged(
    database: Database, queue: Queue, operation: Operation, rows: Sequence[RowStand], *, digest: str, code: str
) -> None:
    """Refuse where the rows are not those that were rehearsed, or do not stand as they did. Raises RowsChanged.

    `rows` are what the search, or the ids, give now.
    """
    if digest_of(queue, operation, rows, code) != digest:
        raise RowsChanged(CHANGED)
    standing = await database.write(rehearsing.stands, queue, [row.id for row in rows])
    if digest_of(queue, operation, standing, code) != digest:
        raise RowsChanged(CHANGED)
