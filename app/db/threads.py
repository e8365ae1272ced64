"""Daemon threads that run calls for the event loop, each with a connection of its own.

A transaction is one call, and so one hop to a thread and back, however many statements it has. Threads are daemons:
one that the disk or the network holds does not hold up the exit.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Generic, Protocol, TypeVar

GRACE = 0.5  # s for a call that was cut to tell how it ended
CLOSING_STEP = 0.005  # s between two looks whether the threads have ended


class Cuttable(Protocol):
    """What a thread works with; `cut` is called from the loop's thread, the rest from its own."""

    is_cut: bool  # whether the call under way was cut

    def cut(self) -> None:
        """End what hangs; the call under way fails soon after."""

    def close(self) -> None:
        """Release it."""


Held = TypeVar("Held", bound=Cuttable)
Result = TypeVar("Result")


class Call(Generic[Held, Result]):
    """One piece of work on its way through a thread and back to the loop that waits for it."""

    def __init__(self, work: Callable[[Held], Result]) -> None:
        self.work = work
        self.context = copy_context()
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Result] = self.loop.create_future()
        self.timer: asyncio.TimerHandle | None = None
        self._held: Held | None = None  # while it is under way
        self._guard = Lock()
        self._is_taken = False

    def begin(self, held: Held) -> bool:
        """Take the call for the thread that works with `held`. False where it was withdrawn."""
        with self._guard:
            if self._is_taken:
                return False
            self._is_taken, self._held, held.is_cut = True, held, False
            return True

    def withdraw(self) -> bool:
        """Take the call so that it never begins. False where it has begun."""
        with self._guard:
            taken, self._is_taken = self._is_taken, True
            return not taken

    def cut(self) -> None:
        """End what hangs, while it is under way: never the thread's next call."""
        with self._guard:
            if self._held is not None:
                self._held.is_cut = True
                self._held.cut()

    def end(self) -> None:
        """Release what the thread works with for its next call."""
        with self._guard:
            self._held = None

    def settle(self, result: Result | None, error: BaseException | None) -> None:
        """Give the result to whoever waits, if they still do. Runs on the loop."""
        if self.timer is not None:
            self.timer.cancel()
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
        self._spare = 0  # threads that wait for a call, less the calls that wait for a thread
        self._guard = Lock()

    async def run(self, work: Callable[[Held], Result], patience: float) -> Result:
        """Run `work` on a thread and return what it returned.

        Raises what it raised, and TimeoutError after `patience` seconds. Work that has not begun by then, or whose
        caller was cancelled before, never begins. Work under way is cut after `patience` seconds, whether its caller
        still waits or not; where even that does not end it soon, how it ends is unknown, and its thread takes nothing
        else until it has ended.
        """
        call = Call(work)
        call.timer = call.loop.call_later(patience, self._expire, call)
        self._put(call)  # type: ignore[arg-type]  # a call of any result
        try:
            return await call.future
        finally:
            if call.withdraw():
                call.timer.cancel()

    async def close(self, patience: float) -> None:
        """Let the threads end when what waits is done; return when they have, or after `patience` seconds."""
        for _ in self._threads:
            self._put(None)
        loop = asyncio.get_running_loop()
        end = loop.time() + patience
        while any(thread.is_alive() for thread in self._threads) and loop.time() < end:  # noqa: ASYNC110  a thread ends without an event
            await asyncio.sleep(CLOSING_STEP)
        self._threads.clear()

    def _put(self, call: "Call[Held, object] | None") -> None:
        with self._guard:
            self._spare -= 1
            is_short = self._spare < 0
        self._calls.put(call)
        if is_short and call is not None and len(self._threads) < self._most:
            self._hire()

    def _hire(self) -> None:
        thread = Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
        with suppress(RuntimeError):  # the system has no thread for us now; the next call asks again
            thread.start()
            self._threads.append(thread)

    def _expire(self, call: Call[Held, Result]) -> None:
        if call.withdraw():
            call.settle(None, TimeoutError())
            return
        call.cut()
        call.loop.call_later(GRACE, call.settle, None, TimeoutError())

    def _serve(self) -> None:
        held = self._make()
        while (call := self._next()) is not None:
            if call.begin(held):
                call.context.run(_perform, held, call)
            del call  # free its arguments now, not when the next call comes
        held.close()

    def _next(self) -> "Call[Held, object] | None":
        with self._guard:
            self._spare += 1
        return self._calls.get()


def _perform(held: Held, call: Call[Held, Result]) -> None:
    try:
        result, error = call.work(held), None
    except BaseException as trouble:  # noqa: BLE001  whoever waits gets it
        result, error = None, trouble
    call.end()
    with suppress(RuntimeError):  # the loop is closed, and nobody waits
        call.loop.call_soon_threadsafe(call.settle, result, error)
