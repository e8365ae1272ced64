"""Artifacts that nobody has seen yet → looked at again for a day, on one replica."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from app.db import artifacts, chores
from app.db.artifacts import Unverified
from app.db.engine import Connection, Database
from app.domain.artifact import ArtifactLook, ArtifactState, Sight
from app.domain.artifact_verdict import LAG
from app.flows.artifacts import ArtifactLooks
from app.flows.ports import Clock

log = structlog.get_logger("app.webhook")

NAME = "artifacts"
EVERY = timedelta(seconds=55)
LEASE = timedelta(minutes=2)
DAY = timedelta(days=1)
BATCH = 20
LOOK_SECONDS = 5.0


class LookAgain:
    """Look again at what owners were told of before anybody had seen it. `looks` None: nothing is looked at."""

    def __init__(self, database: Database, clock: Clock, looks: ArtifactLooks | None) -> None:
        self._database = database
        self._clock = clock
        self._looks = looks
        self._after = 0  # the last row of the turn before, so that those which stay unreachable keep nobody out

    async def __call__(self) -> int:
        """Run the chore if it is due; return how many artifacts are known of by now. Raises DatabaseUnavailable."""
        if self._looks is None:
            return 0
        now = self._clock.now()
        if not await self._database.write(chores.claim, NAME, now=now, lease=LEASE, every=EVERY):
            return 0
        waiting = await self._database.read(artifacts.unverified, since=now - DAY, after=self._after, limit=BATCH)
        self._after = waiting[-1].id if len(waiting) == BATCH else 0
        looks = await asyncio.gather(*(self._looks.look_once(one.url, LOOK_SECONDS) for one in waiting))
        found = [(one, look, _state(one, look, now)) for one, look in zip(waiting, looks, strict=True)]
        known = [(one.id, state) for one, _, state in found if state is not None]
        await self._database.write(_end, known, self._clock.now())
        for one, look, state in found:
            _report(one, look, state)
        return len(known)


def _end(connection: Connection, known: Sequence[tuple[int, ArtifactState]], now: datetime) -> None:
    artifacts.note(connection, known)
    chores.finish(connection, NAME, now=now, every=EVERY, reason="done")


def _state(one: Unverified, look: ArtifactLook, now: datetime) -> ArtifactState | None:
    """Say what is known by now; None while the CDN is silent or may lag."""
    if look.sight is Sight.SEEN:
        return ArtifactState.SEEN
    if look.sight is Sight.ABSENT and (look.is_lasting or now - one.finished_at >= LAG):
        return ArtifactState.ABSENT
    return None


def _report(one: Unverified, look: ArtifactLook, state: ArtifactState | None) -> None:
    if state is ArtifactState.SEEN:
        log.info("artifact.seen", request_id=one.request_id, avatar=one.subject)
    elif state is ArtifactState.ABSENT:
        log.error("artifact.absent", request_id=one.request_id, avatar=one.subject, why=look.why)
