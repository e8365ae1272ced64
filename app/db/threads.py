"""Daemon threads that run calls for the event loop, each with a connection of its own.

A transaction is one call, and so one hop to a thread and back, however many statements it has. Threads are daemons:
one that the disk or the network holds does not hold up the exit.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from threading import Thread
from typing import Generic, Protocol, TypeVar

GRACE = 0.5  # s for a call that was cut to tell how it ended
CLOSING_STEP = 0.005  # s between two looks whether the threads have ended


class Cuttable(Protocol):
    """What a thread works with; `cut` is called from the loop's thread, the rest from its own."""

    def cut(self) -> None:
        """End what hangs; the call under way fails soon after."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


Held = TypeVar("Held", bound=Cuttable)
Result = TypeVar("Result")


class Call(Generic[Held, Result]):
    """One piece of work on its way through a thread and back to the loop that waits for it."""

    def __init__(self, work: Callable[[Held], Result]) -> None:
        self.work = work
        self.context = copy_context()
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Result] = self.loop.create_future()
        self.held: Held | None = None  # while it is under way
        self._turn = [None]

    def take(self) -> bool:
        """Decide, once, who has the call: the thread that begins it, or whoever withdraws it before."""
        try:
            self._turn.pop()  # atomic
        except IndexError:
            return False
        return True

    def settle(self, result: Result | None, error: BaseException | None) -> None:
        """Tell the waiter, if there still is one. Runs on the loop."""
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)  # type: ignore[arg-type]  # without an error there is a result
        else:
            self.future.set_exception(error)


class Threads(Generic[Held]):
    """At most `most` threads, started when they are needed; `make` gives each what it works with."""

    def __init__(self, name: str, most: int, make: Callable[[], Held]) -> None:
        self._name = name
        self._most = most
        self._make = make
        self._calls: SimpleQueue[Call[Held, object] | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._idle: deque[None] = deque()

    async def run(self, work: Callable[[Held], Result], patience: float) -> Result:
        """Run `work` on a thread and return what it returned.

        Raises what it raised, and TimeoutError after `patience` seconds. Work that has not begun by then, or whose
        caller was cancelled, never begins. Work under way is cut; where even that does not end it soon, how it ends is
        unknown, and its thread takes nothing else until it has ended.
        """
        call = Call(work)
        timer = call.loop.call_later(patience, self._expire, call)
        self._calls.put(call)  # type: ignore[arg-type]  # a call of any result
        self._hire()
        try:
            return await call.future
        finally:
            timer.cancel()
            call.take()

    async def close(self, patience: float) -> None:
        """Let the threads end when what waits is done; return when they have, or after `patience` seconds."""
        for _ in self._threads:
            self._calls.put(None)
        loop = asyncio.get_running_loop()
        end = loop.time() + patience
        while any(thread.is_alive() for thread in self._threads) and loop.time() < end:  # noqa: ASYNC110  a thread ends without an event
            await asyncio.sleep(CLOSING_STEP)
        self._threads.clear()

    def _hire(self) -> None:
        if not self._idle and len(self._threads) < self._most:
            thread = Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _expire(self, call: Call[Held, Result]) -> None:
        if call.take():
            call.settle(None, TimeoutError())
            return
        if (held := call.held) is not None:
            held.cut()
        call.loop.call_later(GRACE, call.settle, None, TimeoutError())

    def _serve(self) -> None:
        held = self._make()
        while (call := self._next()) is not None:
            if call.take():
                call.held = held
                call.context.run(_perform, held, call)
            del call  # what it carried need not live until the next one comes
        held.close()

    def _next(self) -> "Call[Held, object] | None":
        self._idle.append(None)
        call = self._calls.get()
        self._idle.pop()
        return call


def _perform(held: Held, call: Call[Held, Result]) -> None:
    try:
        result, error = call.work(held), None
    except BaseException as trouble:  # noqa: BLE001  whoever waits gets it
        result, error = None, trouble
    call.held = None
    with suppress(RuntimeError):  # the loop is closed, and nobody waits
        call.loop.call_soon_threadsafe(call.settle, result, error)
