"""Show the whole way on a scratch database, against local twins of fal and of Telegram."""

import asyncio
import json
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from app.catalog import translate
from app.cli.demo.scenes import SCENES, Scene
from app.cli.demo.stage import CONSOLE, DemoStage, Event, ServerNotStarted, check, staged
from app.cli.output import print_json
from app.core.exit_codes import Exit
from app.core.setting_sources import environment
from app.core.text import one_line
from app.domain.errors import DatabaseUnavailable
from app.domain.language import Language, Msgid, msgid
from app.files.command import WRAPPER
from app.telegram.names import bare

PLAY_SECONDS = 25.0  # for starting and playing
ALL_SECONDS = 29.0  # a server that has not left by then is killed
TAIL_LINES = 30

WORDS: dict[str, Msgid] = {
    "intro": msgid(
        "The real server over HTTPS, a scratch database, twins of fal and Telegram; your .env and database stay as is."
    ),
    "server": msgid(
        "Server: {url}, its certificate is self-signed, fal's twin verifies it; nothing leaves this machine."
    ),
    "signed": msgid("a webhook signed by fal"),
    "again": msgid("the same body signed anew (fal's way to retry)"),
    "replay": msgid("an exact copy: the same bytes and signature"),
    "wrong_key": msgid("signed with a key that is not fal's"),
    "tampered_body": msgid("rightly signed, but the body was changed on the way"),
    "stale_clock": msgid("rightly signed, but more than five minutes ago"),
    "foreign_account": msgid("signed by fal, but for another account"),
    "mismatched_id": msgid("signed by fal, but the body names another request"),
    "unsigned": msgid("not signed at all"),
    "sent": msgid("→ {what}, {size} bytes"),
    "no_answer": msgid("← no answer: {error}"),
    "message": msgid("message {id} to chat {chat_id}"),
    "redrive": msgid("once the owner is back, this sends it again: aisha-webhook notifications redrive {id}"),
    "avatar": msgid("avatar"),
    "delivery": msgid("delivery"),
    "repeats": msgid("repeats"),
    "notification": msgid("message to the owner"),
    "cause": msgid("cause"),
    "messages": msgid("messages in the chat"),
    "queue": msgid("fal's queue answered the server"),
    "telegram": msgid("Telegram answered"),
    "whole": msgid("the name arrived whole"),
    "hidden": msgid("the link to the photos shows nowhere"),
    "blocked": msgid("the owner is marked as unreachable"),
    "exit_code": msgid("the server's exit code"),
    "altogether": msgid("messages altogether"),
    "wrong": msgid("{name}: should be {expected}, but is {seen}"),
    "columns": msgid("#|step|HTTP|avatar|told|"),
    "all_right": msgid("All as it should be: {count} of {count} in {seconds:.1f} s."),
    "not_right": msgid("Not as it should be: {wrong} of {count}."),
    "out_of_time": msgid("The demo did not end within {seconds} s."),
    "not_started": msgid("The server did not start: exit code {code}"),
    "tail": msgid("The last lines of the server's log:"),
    "keep": msgid("To keep logs and database: aisha-webhook demo --keep"),
    "kept": msgid("The scratch folder was kept: {folder}"),
    "pages": msgid("To see this day in the operator's pages: cd {folder} && API_DOMAIN=localhost {cli} serve"),
    "link": msgid(
        "and, for a link to them, in a second terminal: cd {folder} && API_DOMAIN=localhost {cli} dashboard-link"
    ),
}


class DemoLanguage(StrEnum):
    """The languages of the demo; in Kazakh the messages are Kazakh, and what is told of them is Russian."""

    RU = "ru"
    KK = "kk"
    EN = "en"


@dataclass(slots=True)
class Report:
    """One scene as it was played. `messages` counts those that Telegram showed meanwhile."""

    number: int
    name: str
    title: str
    right: bool = False
    finished: bool = False
    messages: int = 0
    events: list[Event] = field(default_factory=list)
    checks: list[Event] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Keep what happened, or what was found of it."""
        (self.checks if "holds" in event else self.events).append(event)


class Printer:
    """Prints as things happen. What a stranger wrote cannot steer the terminal."""

    def __init__(self, language: Language, console: Console) -> None:
        self.language: Language = language
        self._console = console

    def word(self, key: str, /, **values: object) -> str:
        """Word one thing."""
        return translate(WORDS[key], self.language).format(**values)

    def line(self, text: str, style: str = "", indent: int = 0) -> None:
        """Print one paragraph."""
        self._console.print(Padding(Text(one_line(text), style), (0, 0, 0, indent), expand=False))

    def say(self, key: str, **values: object) -> None:
        """Print one sentence of WORDS."""
        self.line(self.word(key, **values))

    def open(self, scene: Scene, number: int) -> None:
        """Begin a scene."""
        self._console.print()
        self.line(f"{number}. {translate(scene.title, self.language)}", "bold")
        self.line(translate(scene.proves, self.language), "italic", 3)

    def show(self, event: Event, *, show_body: bool = False) -> None:
        """Print one event of a scene."""
        if "holds" not in event:
            for text in self._told(event, show_body=show_body):
                self.line(text, indent=3)
        elif not event["holds"]:
            self.line(f"✗ {self.word('wrong', **event)}", "bold red", 3)
        elif not event["name"].startswith("answer."):  # those are shown as the answer
            name = translate(WORDS[event["name"]], self.language) if event["name"] in WORDS else event["name"]
            self.line(f"✓ {name}{_plain(event['seen'])}", "green", 3)

    def conclude(self, reports: Sequence[Report], seconds: float) -> None:
        """Print the table of all scenes and the verdict."""
        table = Table(*self.word("columns").split("|"), box=None, pad_edge=False)
        table.columns[1].no_wrap = True
        for report in reports:
            statuses = (str(event["status"] or "-") for event in report.events if "sent" in event)
            avatars = (one_line(event["avatar"]["status"]) for event in report.events if "avatar" in event)
            mark = Text("✓", "green") if report.right else Text("✗", "bold red")
            table.add_row(str(report.number), report.title, _runs(statuses), _runs(avatars), str(report.messages), mark)
        self._console.print()
        self._console.print(table)
        self._console.print()
        wrong = sum(not report.right for report in reports)
        self.say("not_right" if wrong else "all_right", wrong=wrong, count=len(reports), seconds=seconds)

    def _told(self, event: Event, *, show_body: bool) -> Iterator[str]:
        if "note" in event:
            yield event["note"]
        if "sent" in event:
            sent, answer = event["sent"], event["answer"]
            yield self.word("sent", what=self.word(sent["what"]), size=len(sent["body"].encode()))
            if show_body:
                yield sent["body"]
            said = f"{answer['code']}: {answer.get('detail')}" if "code" in answer else json.dumps(answer)
            yield f"← {event['status']} {said}" if event["status"] else self.word("no_answer", error=event["error"])
        for message in event.get("messages", ()):
            yield self.word("message", **message)
            yield from (f"│ {line}" for line in bare(message["text"]).splitlines())
            yield from (f"│ [{button}]" for button in message["buttons"])
        for row in (*event.get("deliveries", ()), *event.get("notifications", ())):
            if row["detail"]:
                yield f"{row['reason']}: {row['detail']}"
            if row["reason"] == "owner_unreachable":
                yield self.word("redrive", **row)


def _plain(seen: object) -> str:
    match seen:
        case True:
            return ""
        case list():
            return f": {', '.join(map(str, seen)) or '-'}"
        case _:
            return f": {'-' if seen is None else seen}"


def _runs(words: Iterator[str]) -> str:
    """Write runs of the same word once: `200 ×3, 403`."""
    runs = ((word, len(list(same))) for word, same in groupby(words))
    return ", ".join(word if count == 1 else f"{word} ×{count}" for word, count in runs)


async def play(folder: Path, owners: str, printer: Printer, reports: Sequence[Report]) -> None:
    """Play every scene; what goes wrong is printed and stays in the reports."""
    loop = asyncio.get_running_loop()
    playing = asyncio.current_task()
    assert playing is not None
    # A demo that is told to leave takes its server and its folder along.
    loop.add_signal_handler(signal.SIGTERM, playing.cancel)
    printer.say("intro")
    play_until, give_up = loop.time() + PLAY_SECONDS, loop.time() + ALL_SECONDS
    try:
        async with staged(folder, printer.language, owners, play_until, give_up) as stage:
            printer.say("server", url=stage.url)
            async with asyncio.timeout_at(play_until):
                for scene, report in zip(SCENES[:-1], reports, strict=False):
                    await _play(scene, stage, report, printer)
        _close(stage, reports, printer)
    except ServerNotStarted as failure:
        printer.say("not_started", code=failure.exit_code)
    except TimeoutError:
        printer.say("out_of_time", seconds=PLAY_SECONDS)


async def _play(scene: Scene, stage: DemoStage, report: Report, printer: Printer) -> None:
    told = len(stage.telegram.messages)
    printer.open(scene, report.number)
    try:
        for act in scene.acts:
            async for event in stage.play(act):
                report.add(event)
                printer.show(event, show_body=scene.show_body)
        report.finished = True
        report.right = all(one["holds"] for one in report.checks)
    except DatabaseUnavailable as error:
        report.add(check("database", "", str(error)))
        printer.show(report.checks[-1])
    report.messages = len(stage.telegram.messages) - told


def _close(stage: DemoStage, reports: Sequence[Report], printer: Printer) -> None:
    """Count once the server is gone: only then is it certain that nothing more was on its way."""
    due = {act.owner: act.expected["messages"] for scene in SCENES for act in scene.acts}
    *others, report = reports
    printer.open(SCENES[-1], report.number)
    count = len(stage.telegram.messages)
    report.checks = [check("exit_code", 0, stage.server.returncode), check("altogether", sum(due.values()), count)]
    for one in report.checks:
        printer.show(one)
    report.finished, report.right = True, all(one["holds"] for one in report.checks)
    report.messages = count - sum(other.messages for other in others)


app = typer.Typer(add_completion=False)


@app.command()
def demo(
    *,
    language: Annotated[DemoLanguage | None, typer.Option(help="Default: DEFAULT_LANGUAGE, else ru.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the scratch folder: database, certificate, logs.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the whole way against local twins of fal and Telegram; exit 1 when anything is not as it should be."""
    # DEFAULT_LANGUAGE is taken from the environment alone: the demo reads nobody's .env.
    wanted = language or environment().get("DEFAULT_LANGUAGE", "").strip().lower()
    owners = wanted if wanted in frozenset(DemoLanguage) else "ru"
    printer = Printer("en" if owners == "en" else "ru", Console(highlight=False, markup=False, emoji=False, quiet=json))
    reports = [Report(number, one.name, translate(one.title, printer.language)) for number, one in enumerate(SCENES, 1)]
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="aisha-demo-"))
    tail: list[str] = []
    try:
        asyncio.run(play(folder, owners, printer, reports))
        right = all(report.right for report in reports)
        if not right:
            tail = (folder / CONSOLE).read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
    except asyncio.CancelledError:
        raise typer.Exit(128 + signal.SIGTERM) from None
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - started
    if json:
        told = {"right": right, "seconds": round(seconds, 1), "language": printer.language, "steps": reports}
        print_json({**told, "folder": str(folder) if keep else None, "log": tail})
    printer.conclude(reports, seconds)
    if not right:
        printer.say("tail")
    for text in tail:
        printer.line(text, indent=3)
    if keep or not right:
        printer.say("kept" if keep else "keep", folder=folder)
    if keep:
        own = Path(sys.executable).with_name(WRAPPER.name)
        for words in ("pages", "link"):
            printer.say(words, folder=shlex.quote(str(folder)), cli=shlex.quote(str(own)))
    raise typer.Exit(Exit.OK if right else Exit.CHECK_FAILED)
