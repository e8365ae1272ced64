"""Many looks at once."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from app.doctor.examine import Look, examine, in_thread
from app.doctor.finding import Finding, Level

pytestmark = pytest.mark.anyio

SECRET = "123456789:canary-7f3a"


async def well() -> Sequence[Finding]:
    return [Finding("well", Level.OK, "well")]


async def broken() -> Sequence[Finding]:
    raise RuntimeError(f"GET https://api.telegram.org/bot{SECRET}/getMe")


async def endless() -> Sequence[Finding]:
    await asyncio.Event().wait()
    return []


async def test_a_broken_look_hides_no_other() -> None:
    """What breaks becomes a warning in its place; the others are found as ever."""
    found = await examine([Look("one", well), Look("two", broken), Look("three", well)], "en")
    assert [one.code for one in found] == ["well", "look.broken", "well"]


async def test_a_broken_look_shows_no_secret() -> None:
    """fault 45: an exception's text may hold a token, so only its kind and place are told."""
    [found] = await examine([Look("Telegram", broken)], "en")
    assert SECRET not in repr(found)
    assert "Telegram" in found.text
    assert "RuntimeError" in found.text


async def test_an_endless_look_ends_at_its_deadline() -> None:
    """Each look has its own deadline, and the others do not wait for it."""
    found = await examine([Look("endless", endless, 0.01), Look("well", well)], "ru")
    assert [one.code for one in found] == ["look.late", "well"]


async def test_a_timeout_inside_a_look_is_not_its_deadline() -> None:
    """A TimeoutError of the look's own making is told as what broke, not as lateness."""

    async def timed_out() -> Sequence[Finding]:
        raise TimeoutError

    assert [one.code for one in await examine([Look("x", timed_out)], "en")] == ["look.broken"]


async def test_blocking_work_returns_or_raises_where_it_is_awaited() -> None:
    """What a thread returns or raises arrives in the loop."""

    def fail() -> None:
        raise LookupError

    assert await in_thread(lambda: 7) == 7
    with pytest.raises(LookupError):
        await in_thread(fail)


async def test_blocking_work_that_hangs_holds_up_nobody() -> None:
    """The thread of a look past its deadline is left behind, and dies with the program."""
    release = threading.Event()
    started: list[threading.Thread] = []

    def hang() -> Sequence[Finding]:
        started.append(threading.current_thread())
        release.wait(30)
        return []

    try:
        found = await examine([Look("hangs", lambda: in_thread(hang), 0.05)], "en")
        assert [one.code for one in found] == ["look.late"]
        assert all(thread.daemon for thread in started)
    finally:
        release.set()
