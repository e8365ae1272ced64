"""An event loop whose time is virtual, and in which a seed decides which of several ready tasks goes first.

Nothing here waits: where no task is ready the clock jumps to the next timer. Work for a thread is done at once.
"""

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, Protocol, TypeVar

R = TypeVar("R")

CANCELLED_MANY = 200  # cancelled timers that may lie in the heap before they are cleared out


class Owner(Protocol):
    """Whoever tasks belong to, so that they can be ended together."""

    is_dead: bool

    def adopt(self, task: "SimulatedTask") -> None:
        """Take a new task."""


OWNER: ContextVar[Owner | None] = ContextVar("owner", default=None)
_numbers = itertools.count()


class Stalled(Exception):
    """Nothing is ready and no timer runs: every task waits for another one."""


class SimulatedTask(asyncio.Task[Any]):
    """A task with a number for its hash: a set of tasks is walked alike in every run."""

    def __init__(self, coro: Coroutine[Any, Any, Any], *, context: Context | None = None, **options: Any) -> None:
        self.number = next(_numbers)
        super().__init__(coro, context=context, **options)
        owner = (copy_context() if context is None else context).get(OWNER)
        if owner is not None:
            owner.adopt(self)

    def __hash__(self) -> int:
        return self.number


class SimulatedLoop(asyncio.BaseEventLoop):
    """One run. `chance` decides the order of tasks that are ready at the same moment."""

    _ready: deque[Any]  # of BaseEventLoop, which declares none of these
    _scheduled: list[Any]
    _stopping: bool
    _timer_cancelled_count: int

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._moment = 0.0
        self._chance = chance
        self.steps = 0
        self.errors: list[dict[str, Any]] = []
        self._frozen: dict[Any, list[Any]] = {}  # what owners whose time stands still would have done
        self.set_task_factory(_make_task)
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    def time(self) -> float:
        """Seconds since the start of the run."""
        return self._moment

    def _run_once(self) -> None:
        timers, ready = self._scheduled, self._ready
        self._clear_timers()
        if not ready:
            if not timers:
                if self._stopping:
                    return
                raise Stalled
            self._moment = max(self._moment, timers[0]._when)
        while timers and timers[0]._when <= self._moment:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            if not timer._cancelled:
                ready.append(timer)
        if len(ready) > 1:
            self._mix()
        for _ in range(len(ready)):
            call = ready.popleft()
            if not call._cancelled and not (self._frozen and self._is_held(call)):
                self.steps += 1
                call._run()

    def freeze(self, owner: Owner, until: float) -> None:
        """Let nothing of an owner's go on before a moment."""
        self._frozen.setdefault(owner, [])
        self.call_at(until, self.thaw, owner, context=Context())

    def thaw(self, owner: Owner) -> None:
        """Let everything of an owner's go on that has waited meanwhile."""
        self._ready.extend(self._frozen.pop(owner, ()))

    def _is_held(self, call: Any) -> bool:
        held = self._frozen.get(call._context.get(OWNER))
        if held is not None:
            held.append(call)
        return held is not None

    def _clear_timers(self) -> None:
        timers = self._scheduled
        if self._timer_cancelled_count > CANCELLED_MANY and self._timer_cancelled_count * 2 > len(timers):
            for timer in timers:
                timer._scheduled = not timer._cancelled
            timers[:] = [timer for timer in timers if not timer._cancelled]
            heapq.heapify(timers)
            self._timer_cancelled_count = 0
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
            self._timer_cancelled_count -= 1

    def _mix(self) -> None:
        """Exchange the places of tasks: each has one step at most among what is ready. Callbacks keep theirs."""
        if self._chance.random() < 0.5:
            return
        ready = self._ready
        places = [at for at, call in enumerate(ready) if isinstance(_bound_to(call), asyncio.Task)]
        if len(places) < 2:
            return
        calls = [ready[at] for at in places]
        self._chance.shuffle(calls)
        for at, call in zip(places, calls, strict=True):
            ready[at] = call

    def call_soon_threadsafe(  # type: ignore[override]  # wider
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        """There is one thread."""
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: object, func: Callable[..., R], *args: Any) -> "asyncio.Future[R]":  # type: ignore[override]  # it is done when it is returned
        """Do the work now; a process that is dead does none."""
        future: asyncio.Future[R] = self.create_future()
        owner = OWNER.get()
        if owner is not None and owner.is_dead:
            future.cancel()
            return future
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  whoever waits gets it
            future.set_exception(error)
        return future

    def _process_events(self, event_list: object) -> None:
        """There are no events of the kernel's."""

    def _write_to_self(self) -> None:
        """Nobody needs to be woken."""


def _bound_to(call: Any) -> object:
    return getattr(call._callback, "__self__", None)


def _make_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> SimulatedTask:
    return SimulatedTask(coro, loop=loop, **options)
