"""Show the whole way on a scratch database, against local twins of fal and of Telegram."""

import asyncio
import shutil
import signal
import tempfile
import time
from collections import deque
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.cli.demo.page import Page, document
from app.cli.demo.report import Report
from app.cli.demo.server import START_SECONDS, NotStarted
from app.cli.demo.stage import Stage, staged
from app.cli.demo.steps import MESSAGES, STEPS, Play
from app.cli.demo.words import DemoWords
from app.cli.output import print_json
from app.core.exit_codes import Exit
from app.core.setting_sources import environment
from app.domain.errors import DatabaseUnavailable

PLAY_SECONDS = 25.0  # for starting and playing
ALL_SECONDS = 29.0  # a server that has not left by then is killed
TAIL_LINES = 30


class DemoLanguage(StrEnum):
    """The languages of the demo."""

    RU = "ru"
    EN = "en"


class Demo:
    """One run: plays the steps one after another and keeps a report of each."""

    def __init__(self, page: Page) -> None:
        self.reports = [Report(number, step.__name__) for number, step in enumerate(STEPS, 1)]
        self.reports.append(Report(len(STEPS) + 1, "closing"))
        self.last_lines: deque[str] = deque(maxlen=TAIL_LINES)
        self._page = page

    @property
    def right(self) -> bool:
        """Whether everything was as it should be."""
        return all(report.right for report in self.reports)

    async def run(self, folder: Path, words: DemoWords) -> None:
        """Play everything; what goes wrong is shown and stays in the reports."""
        playing = asyncio.current_task()
        assert playing is not None
        # A demo that is told to leave takes its server and its folder along.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
        self._page.say("intro")
        began = asyncio.get_running_loop().time()
        try:
            async with staged(folder, words.language, self.last_lines, began + ALL_SECONDS) as stage:
                self._page.say("server", url=stage.program.url)
                async with asyncio.timeout_at(began + PLAY_SECONDS):
                    for step, report in zip(STEPS, self.reports, strict=False):
                        await self._play(step, stage, report)
            self._close(stage)
        except NotStarted as failure:
            late = failure.exit_code is None
            why = words("not_started.late", seconds=START_SECONDS) if late else ""
            self._page.say("not_started", why=why or words("not_started.exit", code=failure.exit_code))
        except TimeoutError:
            self._page.say("out_of_time", seconds=PLAY_SECONDS)

    async def _play(self, step: Play, stage: Stage, report: Report) -> None:
        told = len(stage.telegram.messages)
        try:
            await step(stage, report)
            report.finished = True
        except DatabaseUnavailable as error:
            report.expect("database", "", str(error))
        report.told = len(stage.telegram.messages) - told
        self._page.show(report)

    def _close(self, stage: Stage) -> None:
        """Count once the server is gone: only then is it certain that nothing more was on its way."""
        report, code, messages = self.reports[-1], stage.program.exit_code, len(stage.telegram.messages)
        report.note("closing.counted", code=code, messages=messages)
        report.expect("server.exit_code", 0, code)
        report.expect("messages", MESSAGES, messages)
        report.told = messages - sum(other.told for other in self.reports)
        report.finished = True
        self._page.show(report)


app = typer.Typer(add_completion=False)


@app.command()
def demo(
    *,
    language: Annotated[DemoLanguage | None, typer.Option(help="Default: DEFAULT_LANGUAGE, else ru.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the scratch folder: database, certificate, logs.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the whole way against local twins of fal and Telegram; exit 1 when anything is not as it should be."""
    words = DemoWords("en" if (language or _preferred()) is DemoLanguage.EN else "ru")
    page = Page(words, Console(highlight=False, markup=False, emoji=False, quiet=json))
    playing = Demo(page)
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="aisha-demo-"))
    try:
        asyncio.run(playing.run(folder, words))
    except asyncio.CancelledError:
        raise typer.Exit(128 + signal.SIGTERM) from None
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - started
    if json:
        kept = {"folder": str(folder) if keep else None, "log": [] if playing.right else list(playing.last_lines)}
        print_json({**document(playing.reports, words, seconds), **kept})
    _conclude(playing, page, folder if keep else None, seconds)
    raise typer.Exit(Exit.OK if playing.right else Exit.CHECK_FAILED)


def _conclude(playing: Demo, page: Page, kept: Path | None, seconds: float) -> None:
    page.summarise(playing.reports, seconds)
    if not playing.right:
        page.quote(list(playing.last_lines))
    if kept is not None:
        page.say("kept", folder=kept)
    elif not playing.right:
        page.say("keep")


def _preferred() -> DemoLanguage:
    """Take DEFAULT_LANGUAGE from the environment alone: the demo reads nobody's .env."""
    given = environment().get("DEFAULT_LANGUAGE", "").strip().lower()
    return DemoLanguage.EN if given == DemoLanguage.EN else DemoLanguage.RU
