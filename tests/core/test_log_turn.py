"""Lines of the log that one turn of the event loop brings forth are written together."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from app.core import log_handlers
from app.core.logger import reset_logging, setup_logging

pytestmark = pytest.mark.anyio


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """The events of each write to the server's log, in order."""
    writes: list[list[str]] = []
    write = log_handlers._Rotating.write

    def keep(file: log_handlers._Rotating, lines: str) -> None:
        writes.append([json.loads(line)["event"] for line in lines.splitlines()])
        write(file, lines)

    monkeypatch.setattr(log_handlers._Rotating, "write", keep)
    setup_logging("INFO", tmp_path, "api_server.log", "webhook.log")
    yield writes
    reset_logging()


async def test_together(written: list[list[str]]) -> None:
    """What a turn says is one write, at its end; the next turn's lines are another."""
    log = structlog.get_logger("app.x")
    log.info("a")
    log.info("b")
    assert written == []
    await asyncio.sleep(0)
    log.info("c")
    await asyncio.sleep(0)
    assert written == [["a", "b"], ["c"]]


async def test_warnings_at_once(written: list[list[str]]) -> None:
    """A warning is on the disk before the program goes on, and so is what was said before it."""
    log = structlog.get_logger("app.x")
    log.info("a")
    log.warning("b")
    assert [event for lines in written for event in lines] == ["a", "b"]


async def test_bounded(written: list[list[str]]) -> None:
    """A turn that never ends keeps no more lines than LINES."""
    log = structlog.get_logger("app.x")
    for _ in range(log_handlers.LINES + 1):
        log.info("a")
    assert [len(lines) for lines in written] == [log_handlers.LINES]


def test_without_loop(written: list[list[str]]) -> None:
    """Where no loop runs a line is written at once; a loop that was closed with lines kept holds back no later one."""
    log = structlog.get_logger("app.x")

    async def last_words() -> None:
        log.info("a")
        asyncio.get_running_loop().stop()  # before the turn's end comes

    loop = asyncio.new_event_loop()
    task = loop.create_task(last_words())
    loop.run_forever()
    loop.close()
    assert task.done()
    asyncio.run(asyncio.sleep(0))
    log.info("b")
    assert [event for lines in written for event in lines] == ["a", "b"]


async def test_closing(written: list[list[str]]) -> None:
    """Closing the log writes what was kept."""
    structlog.get_logger("app.x").info("a")
    reset_logging()
    assert written == [["a"]]
