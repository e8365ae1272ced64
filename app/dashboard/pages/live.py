"""A stream that says when something has changed; the browser then asks for the page anew."""

import asyncio
from collections.abc import AsyncIterator

import structlog
from fastapi import APIRouter, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.dashboard.guard import LIVE, Operator, proofs
from app.dashboard.parts import DashboardParts
from app.db import live_mark, operator_access
from app.domain.errors import DatabaseUnavailable

log = structlog.get_logger(__name__)

router = APIRouter()
LOOK_EVERY = 2.0  # s between two looks at the database, while anybody watches
AGAIN = 5_000  # ms after which a browser whose stream has ended asks again
MOST = 200  # streams at once


class Pulse:
    """Looks whether anything has changed, for all streams of this process together; without any it rests."""

    def __init__(self, parts: DashboardParts) -> None:
        self._parts = parts
        self._turn = asyncio.Condition()
        self._watchers = 0
        self._looking: asyncio.Task[None] | None = None
        self._mark: object = None
        self._sessions: frozenset[str] = frozenset()

    async def changes(self, session: str) -> AsyncIterator[None]:
        """Yield at each change, until the session ends or the server stops."""
        if self._watchers >= MOST or self._parts.leaving.is_set():
            return
        self._watchers += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_on(), name="dashboard pulse")
        try:
            seen = None
            while not self._parts.leaving.is_set():
                async with self._turn:
                    await self._turn.wait()
                if session not in self._sessions:
                    return
                if seen is not None and seen != self._mark:
                    yield
                seen = self._mark
        finally:
            self._watchers -= 1

    async def _look_on(self) -> None:
        leaving = asyncio.create_task(self._parts.leaving.wait())
        try:
            while self._watchers and not leaving.done():
                await self._look()
                await asyncio.wait([leaving], timeout=LOOK_EVERY)
        finally:
            self._looking = None
            leaving.cancel()
            async with self._turn:
                self._turn.notify_all()

    async def _look(self) -> None:
        parts = self._parts
        try:
            mark = await parts.database.read(live_mark.read)
            sessions = await parts.database.read(operator_access.open_sessions, proofs(parts), parts.clock.now())
        except DatabaseUnavailable as error:
            log.info("dashboard.blind", cause=str(error))
            return
        async with self._turn:
            self._mark, self._sessions = mark, frozenset(sessions)
            self._turn.notify_all()


@router.get(LIVE, response_class=EventSourceResponse)
async def live(request: Request) -> AsyncIterator[ServerSentEvent]:
    """Say `changed` whenever something has."""
    state = request.app.state
    if not hasattr(state, "pulse"):
        state.pulse = Pulse(state.parts)
    pulse: Pulse = state.pulse
    operator: Operator = request.state.operator
    yield ServerSentEvent(retry=AGAIN, comment="open")
    async for _ in pulse.changes(operator.session):
        yield ServerSentEvent(event="changed", data="")
