"""Submissions without an answer → fal's list is looked through → the one entry that it must be is joined."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from app.db import pacing, submissions
from app.db.engine import Connection, Database
from app.db.submissions import Unanswered
from app.db.trainings import BotTables
from app.domain.look import Unsaid
from app.domain.submission import ListedRequest
from app.flows.ports import Clock, FalDesk

log = structlog.get_logger("app.webhook")

AT_ONCE = 4  # submissions in one turn
BEFORE = timedelta(minutes=2)  # how far fal's clock may lag behind ours
WITHIN = timedelta(minutes=5)  # from our row to what fal says of when it was sent
GIVEN_UP = timedelta(days=1)  # a training has ended long before, and its webhook has come
FIRST, LONGEST = timedelta(seconds=30), timedelta(minutes=15)  # between two looks
RATE, HORIZON, BUCKET = 25.0, timedelta(seconds=2), "fal"  # the budget that every question to fal shares


class Sweep:
    """Looks for submissions whose answer was lost. Sends nothing; `after` is RECONCILE_AFTER."""

    def __init__(
        self, database: Database, tables: BotTables, fal: FalDesk, clock: Clock, *, lease: timedelta, after: timedelta
    ) -> None:
        self._database = database
        self._tables = tables
        self._fal = fal
        self._clock = clock
        self._lease = lease
        self._after = after

    async def __call__(self) -> int:
        """Look for what is due; return how many were joined. Raises DatabaseUnavailable."""
        claimed = await self._database.write(self._claim, self._clock.now())
        joined = 0
        for one in claimed:
            said = await self._fal.recent(one.endpoint, one.first_seen_at - BEFORE)
            listed = [] if isinstance(said, Unsaid) else said
            joined += await self._database.write(self._settle, one, listed, self._clock.now())
            if isinstance(said, Unsaid):
                log.warning("submission.not_looked_for", job=one.claim.id, why=said.trouble, detail=said.detail)
        return joined

    def _claim(self, connection: Connection, now: datetime) -> list[Unanswered]:
        limit = min(AT_ONCE, pacing.free_budget(connection, BUCKET, now=now, horizon=HORIZON, rate=RATE))
        claimed = submissions.claim(connection, now=now, lease_until=now + self._lease, limit=limit) if limit else []
        if claimed:
            pacing.spend_budget(connection, BUCKET, len(claimed), now=now, horizon=HORIZON, rate=RATE)
        return claimed

    def _settle(self, connection: Connection, one: Unanswered, listed: Sequence[ListedRequest], now: datetime) -> int:
        matches = {item.request_id for item in listed if _is_it(item, one)}
        matches -= submissions.taken_ids(connection, sorted(matches)) if matches else frozenset()
        if len(matches) == 1:
            [request_id] = matches
            submissions.found(connection, self._tables, one, request_id, now=now, due_at=now + self._after)
            return 1
        if matches:
            log.warning("submission.ambiguous", job=one.claim.id, requests=len(matches))
        again = now + min(FIRST * 2 ** min(one.failures, 10), LONGEST)
        due_at = None if now - one.first_seen_at >= GIVEN_UP else again
        submissions.not_found(connection, one, due_at=due_at, now=now)
        if due_at is None:
            log.error("submission.not_found", job=one.claim.id)
        return 0


def _is_it(item: ListedRequest, one: Unanswered) -> bool:
    """Tell whether an entry was given the same photos at the same time."""
    if item.at is None or not -BEFORE <= item.at - one.first_seen_at <= WITHIN:
        return False
    return any(hashlib.sha256(text.encode()).hexdigest() == one.photos_sha256 for text in item.texts)
