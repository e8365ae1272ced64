"""Many looks at once: each has its own deadline, and an error in one never hides the others."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from app.doctor.finding import Catalogue, Finding, Level, Wording, finding
from app.domain.language import Language, msgid

T = TypeVar("T")

SECONDS = 5.0

WORDS: Catalogue = {
    "look.broken": Wording(
        Level.WARN,
        msgid("{subject}: could not be examined ({why})"),
        msgid("Repeat; report it if it stays."),
        "aisha-webhook doctor --json",
    ),
    "look.late": Wording(
        Level.WARN,
        msgid("{subject}: no answer within {seconds} s"),
        msgid("Repeat when machine and network are less busy."),
        "aisha-webhook doctor --json",
    ),
}


@dataclass(frozen=True, slots=True)
class Look:
    """One thing to look at: what it is called, the look itself, and how long it may take in seconds."""

    subject: str
    at: Callable[[], Awaitable[Sequence[Finding]]]
    seconds: float = SECONDS


async def examine(looks: Sequence[Look], language: Language) -> list[Finding]:
    """Look at everything at once; return what was found in the order of the looks. Raises nothing."""
    found = await asyncio.gather(*(_take(look, language) for look in looks))
    return [one for several in found for one in several]


async def _take(look: Look, language: Language) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(look.seconds) as deadline:
            return await look.at()
    except Exception as error:  # noqa: BLE001  whatever breaks in one look must not hide the others
        if deadline.expired():
            return [finding(WORDS, "look.late", language, subject=look.subject, seconds=f"{look.seconds:g}")]
        # Only the kind and the place: an exception's text may hold a URL with a token in it.
        return [finding(WORDS, "look.broken", language, subject=look.subject, why=_place(error))]


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f", {trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
    return f"{type(error).__name__}{where}"


async def in_thread(work: Callable[[], T]) -> T:
    """Run blocking work beside the loop.

    Uses a daemon thread: one that hangs (a DNS server that does not answer) must not delay the exit of the program, as
    a thread of a pool would.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(settle: Callable[[], None]) -> None:
        # After the deadline the result is not awaited any more, and the loop may be closed by then.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if done.done() else settle())

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  it is raised again in the awaiting task
            tell(partial(done.set_exception, error))
        else:
            tell(partial(done.set_result, result))

    threading.Thread(target=run, daemon=True).start()
    return await done
