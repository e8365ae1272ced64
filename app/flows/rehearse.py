"""What a redrive or an ignore would do: done for real, by the code that does it, in transactions that are rolled back.

Rows of one request are played together, for one may change what the next does. Others have nothing to do with each
other: a few are played at a time, and SQLite's one writer is held for a moment only. Nothing can be asked or sent
meanwhile: what is played has a connection, and no port to fal, its CDN or Telegram.
"""

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from typing import Any

import orjson

from app.db import rehearsing
from app.db.engine import Connection, Database
from app.db.operator_queries import Act, Queue
from app.db.rehearsing import RowStand
from app.db.trainings import BotTables
from app.domain.artifact import ArtifactCheck
from app.domain.decision import NOTHING_INVENTED
from app.domain.invented import Invented
from app.flows.kinds import Kind
from app.flows.operate import Operation, change_rows
from app.flows.planning import Planner, RetryLimits
from app.flows.playing import Play
from app.flows.ports import Clock
from app.flows.rehearsed import RehearsedRow, Word, ignored, left, sent

MOST = 50  # rows that are played
SECONDS = 1.0
SLICE = 10  # rows of one transaction; more where they are of one request
REHEARSED = Act("rehearsal")


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What an act on `matched` rows would do. `is_sample`: not all of them were played.

    `lines` count the rows by (code, word), most first; `told` the messages that owners would get, `told_twice` those
    among them that they got before: always 0. `digest` names the rows as they stand, the act and the code: an act that
    is given it refuses where one of them has changed.
    """

    queue: Queue
    operation: Operation
    matched: int
    rows: list[RehearsedRow]
    is_sample: bool
    lines: list[tuple[str, str, int]]
    told: int
    told_twice: int
    digest: str


class _Undone(Exception):  # no error: it takes the result out of a transaction that must not commit
    def __init__(self, rows: list[RehearsedRow], told_twice: int) -> None:
        super().__init__()
        self.rows = rows
        self.told_twice = told_twice


def digest_of(queue: Queue, operation: Operation, rows: Sequence[RowStand], code: str) -> str:
    """Digest what an act is about: SHA-256 in hex of the rows' ids, attempts and states, the act, and the code."""
    facts = [queue, operation, code, sorted(tuple(row) for row in rows)]
    return hashlib.sha256(orjson.dumps(facts)).hexdigest()


def together(names: Mapping[int, Collection[str]], most: int) -> Iterator[list[int]]:
    """Part ids into lists of `most` and more, so that ids which share a name, however remotely, are in one list.

    >>> list(together({1: ["a"], 2: ["b"], 3: ["a", "c"], 4: ["c"], 5: ["d"]}, 2))
    [[1, 3, 4], [2, 5]]
    """
    by_name: defaultdict[str, list[int]] = defaultdict(list)
    for row_id, own in names.items():
        for name in own:
            by_name[name].append(row_id)
    seen: set[int] = set()
    part: list[int] = []
    for row_id in sorted(names):
        waiting = [] if row_id in seen else [row_id]
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                part.append(one)
                waiting += [other for name in names[one] for other in by_name[name]]
        if len(part) >= most:
            yield sorted(part)
            part = []
    if part:
        yield sorted(part)


@dataclass(eq=False, repr=False, slots=True)
class Rehearse:
    """Rehearses acts. `code` is the version of the code, `word` words a message as Telegram would get it."""

    database: Database
    bot_tables: BotTables
    kinds: Sequence[Kind]
    limits: RetryLimits
    clock: Clock
    _: KW_ONLY
    word: Word
    code: str
    check: ArtifactCheck = ArtifactCheck.OFF
    invented: Invented = NOTHING_INVENTED
    elapsed: Callable[[], float] = time.monotonic
    _planner: Planner = field(init=False)

    def __post_init__(self) -> None:
        self._planner = Planner(self.kinds, self.limits, lambda: 0.0, self.check)

    async def __call__(self, queue: Queue, operation: Operation, rows: Sequence[RowStand]) -> Rehearsal:
        """Play an act on these rows, the first MOST of them within SECONDS; changes nothing.

        Raises DatabaseUnavailable.
        """
        end, now = self.elapsed() + SECONDS, self.clock.now()
        ids = [row.id for row in rows[:MOST]]
        played: list[RehearsedRow] = []
        told_twice = 0
        for some in together(await self.database.read(rehearsing.names_of, queue, ids), SLICE):
            if played and self.elapsed() > end:
                break
            try:
                await self.database.write(self._play, queue, operation, some, now)
            except _Undone as undone:
                played += undone.rows
                told_twice += undone.told_twice
        played.sort(key=lambda row: row.id)
        counted = Counter((row.code, row.word) for row in played)
        return Rehearsal(
            queue,
            operation,
            len(rows),
            played,
            len(played) < len(rows),
            [(code, word, times) for (code, word), times in counted.most_common()],
            sum(len(row.messages) for row in played),
            told_twice,
            digest_of(queue, operation, rows, self.code),
        )

    def _play(
        self, connection: Connection, queue: Queue, operation: Operation, ids: Sequence[int], now: datetime
    ) -> None:
        told_twice = 0
        before = rehearsing.rows_of(connection, queue, ids)
        changed = set(change_rows(connection, queue, operation, ids, act=REHEARSED, invented=self.invented, now=now))
        others = [left(row) for row_id, row in before.items() if row_id not in changed]
        if operation is Operation.IGNORE:
            played = [ignored(row) for row_id, row in before.items() if row_id in changed]
        elif queue is Queue.NOTIFICATIONS:
            played = self._send(connection, [row for row_id, row in before.items() if row_id in changed])
        else:
            play = Play(connection, self.bot_tables, self._planner, self.word, before, now)
            played, told_twice = play(changed)
        raise _Undone([*others, *played], told_twice)

    def _send(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> list[RehearsedRow]:
        fates = rehearsing.at_their_claim(connection, [row["id"] for row in rows]) if rows else {}
        return [sent(row, fates[row["id"]], self.word) for row in rows]
