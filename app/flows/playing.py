"""Redriven deliveries, applied in a transaction that will not commit: what each of them does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.db import inbox, rehearsing
from app.db.engine import Connection
from app.db.operator_queries import Queue
from app.db.trainings import BotTables
from app.domain.artifact import ArtifactLook, Sight
from app.domain.training import Training
from app.flows.item import Item
from app.flows.planning import Planner
from app.flows.rehearsed import RehearsedRow, Word, changes_of, identity, line_of, read_message, rehearsed

SEEN = ArtifactLook(Sight.SEEN)


@dataclass(slots=True)
class Play:
    """Applies redriven deliveries, one group after another, and notes what each did.

    `before` are the rows as they stood.
    """

    connection: Connection
    bot_tables: BotTables
    planner: Planner
    word: Word
    before: Mapping[int, dict[str, Any]]
    now: datetime

    def __call__(self, changed: set[int]) -> tuple[list[RehearsedRow], int]:
        """Return the rows, and how many messages would be a second of their kind."""
        locked = inbox.take(self.connection, sorted(changed), self.planner.names)
        unknown = changed - {claimed.claim.id for claimed in locked}
        rows = [rehearsed(self.before[row_id], ("pending", "redriven"), "waits", "kind") for row_id in sorted(unknown)]
        told_twice = 0
        for group in self.planner.read(locked):
            played, twice = self._group(group)
            rows += played
            told_twice += twice
        return rows, told_twice

    def _group(self, group: Sequence[Item]) -> tuple[list[RehearsedRow], int]:
        names = {item.claimed.claim.id: _name(item) for item in group}
        asked = sorted({name for name in names.values() if name})
        trainings = self._trainings(asked)
        told = rehearsing.messages_of(self.connection, asked)
        asks = self._decide(group)
        changed = self._trainings(asked)
        all_told = rehearsing.messages_of(self.connection, asked)
        new = [row for row_id, row in all_told.items() if row_id not in told]
        identities = {identity(row) for row in told.values()}
        after = rehearsing.rows_of(self.connection, Queue.DELIVERIES, list(names))
        rows = []
        for row_id, name in names.items():
            before, now = trainings.get(name), changed.get(name)
            changes = changes_of(before, now)
            end = after[row_id]
            code, word = line_of(self.before[row_id]["state"], end, changes, asks.get(row_id))
            messages = [read_message(row, self.word) for row in new if row["delivery_id"] == row_id]
            rows.append(
                rehearsed(
                    self.before[row_id],
                    (end["state"], end["reason"]),
                    code,
                    word,
                    asks=asks.get(row_id),
                    avatar_id=None if now is None else now.avatar_id,
                    changes=changes,
                    messages=messages,
                    told_already=not messages and any(row["request_id"] == name for row in told.values()),
                )
            )
        return rows, sum(identity(row) in identities for row in new)

    def _decide(self, group: Sequence[Item]) -> dict[int, str]:
        """Decide as `apply` does; where one breaks the rest, each alone. Return what would be asked, by row."""
        savepoint = self.connection.begin_nested()
        try:
            _, unproven = self.planner.decide(self.connection, group, self.now, is_locked=True)
        except Exception:  # noqa: BLE001  a bug or poison, which apply would find out in the same way
            savepoint.rollback()
            if len(group) == 1:
                return {group[0].claimed.claim.id: "bug"}
            return {row_id: asked for item in group for row_id, asked in self._decide([item]).items()}
        savepoint.commit()
        asks: dict[int, str] = {}
        for item, _ in unproven:
            row_id = item.claimed.claim.id
            if item.unseen is None:
                asks[row_id] = "result"
                continue
            seen = replace(item, unseen=None, looks={**item.looks, item.unseen: SEEN})
            asks[row_id] = self._decide([seen]).get(row_id, "artifact")
        return asks

    def _trainings(self, names: Sequence[str]) -> dict[str, Training]:
        return {one.request_id: one for one in self.bot_tables.read(self.connection, names)}


def _name(item: Item) -> str:
    """Name what a delivery is about; empty where its bytes do not say so, and nothing comes of it."""
    return "" if item.reading is None else item.reading.request_id
