"""Looks at artifacts beside the flow that found them: nobody else waits, and no owner for longer than HOLD."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial

import structlog

from app.domain.artifact import ArtifactCheck, ArtifactLook, Sight, artifact_host
from app.domain.errors import DatabaseUnavailable
from app.flows.item import Item
from app.flows.ports import ArtifactStore

log = structlog.get_logger("app.webhook")

HOLD = 5.0  # s that an owner is kept waiting by all looks at one artifact
AGAIN = 3.0  # s after its beginning an unreachable one is looked at once more
WORTH = 0.5  # s below which a look would hardly end
TURNS = 32  # looks at the same time
FAREWELL = 1.0  # s at the stop in which looks may end
ROOM = 400  # deliveries under way; beyond that the flow waits

Settle = Callable[[list[Item]], Awaitable[Sequence[Item]]]  # returns those that need another look


@dataclass(eq=False, repr=False, slots=True)
class ArtifactLooks:
    """What is being looked at. `check` is never OFF; `elapsed` counts seconds, whatever the wall clock does."""

    store: ArtifactStore
    check: ArtifactCheck
    _: KW_ONLY
    elapsed: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(TURNS), init=False)
    _under_way: set[str] = field(default_factory=set, init=False)  # request ids: one delivery of a training at a time
    _groups: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def is_under_way(self, request_id: str) -> bool:
        """Tell whether a delivery of this training is being looked at here. May be asked from any thread."""
        return request_id in self._under_way

    def begin(self, items: Sequence[Item], settle: Settle) -> None:
        """Look at what these deliveries would write; `settle` gets them as they are done, several at a time."""
        ids = _request_ids(items)
        self._under_way |= ids
        group = asyncio.create_task(self._look(items, settle), name="artifacts")
        self._groups.add(group)
        group.add_done_callback(partial(self._end, ids))

    async def room(self) -> None:
        """Wait while too much is under way."""
        while len(self._under_way) >= ROOM:
            await asyncio.wait(self._groups, return_when=asyncio.FIRST_COMPLETED)

    async def close(self, seconds: float = FAREWELL) -> None:
        """Give what is under way so long to end; the rest is due again after its lease."""
        if self._groups:
            await asyncio.wait(self._groups, timeout=seconds)
        for group in self._groups:
            group.cancel()
        await asyncio.gather(*self._groups, return_exceptions=True)
        await self.store.aclose()

    async def see(self, url: str) -> ArtifactLook:
        """Look once, and where that found nothing out once more; HOLD in all."""
        began = self.elapsed()
        look = await self.look_once(url, HOLD)
        if look.sight is not Sight.UNREACHABLE or self.check is not ArtifactCheck.REQUIRE:
            return look
        took = self.elapsed() - began
        pause = max(AGAIN - took, 0.0)
        if HOLD - took - pause < WORTH:
            return look
        await self.sleep(pause)
        return await self.look_once(url, HOLD - (self.elapsed() - began))

    async def look_once(self, url: str, within: float) -> ArtifactLook:
        """Look in one's turn, for at most `within` seconds, the wait for the turn among them."""
        try:
            async with asyncio.timeout(within), self._turns:
                return await self.store.look(url, within)
        except TimeoutError:
            return ArtifactLook(Sight.UNREACHABLE, "timeout")
        except Exception:  # an owner must not wait for our bug to be mended
            log.exception("artifact.look_failed", host=artifact_host(url))
            return ArtifactLook(Sight.UNREACHABLE, "bug")

    async def _look(self, items: Sequence[Item], settle: Settle) -> None:
        left = {asyncio.create_task(self._answer(item)) for item in items}
        try:
            while left:
                done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                seen = [task.result() for task in done]
                again = await settle(seen)
                self._under_way -= _request_ids(seen) - _request_ids(again)
                left |= {asyncio.create_task(self._answer(item)) for item in again}
        finally:
            for task in left:
                task.cancel()

    async def _answer(self, item: Item) -> Item:
        url = item.unseen
        assert url is not None, "only what has something to look at is given here"
        look = await self.see(url)
        if look.sight is not Sight.SEEN:
            ids = {"request_id": item.claimed.request_id, "delivery": item.claimed.claim.id}
            log.warning("artifact.not_seen", **ids, sight=look.sight, host=artifact_host(url), why=look.why)
        return replace(item, unseen=None, looks={**item.looks, url: look})

    def _end(self, ids: set[str], group: "asyncio.Task[None]") -> None:
        self._groups.discard(group)
        self._under_way -= ids
        if group.cancelled() or (error := group.exception()) is None:
            return
        if isinstance(error, DatabaseUnavailable):
            log.warning("artifact.left_to_lease", cause=str(error))
        else:
            log.error("artifact.looks_broke", exc_info=error)


def _request_ids(items: Sequence[Item]) -> set[str]:
    return {item.reading.request_id for item in items if item.reading is not None}
