"""`aisha-webhook setup`: ask for what the server needs, check each answer, write `.env`."""

import asyncio
import getpass
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from app.catalog import translate
from app.cli.env_lines import NotWritable
from app.cli.output import Json, called, print_json
from app.cli.setup_answers import PRIVATE, Answers
from app.cli.setup_checks import QUESTIONS, Question
from app.cli.setup_words import QUESTIONS as ASKS
from app.cli.setup_words import SAYS
from app.cli.unit_group import restart, unit_group
from app.core.config import Settings
from app.core.exit_codes import Exit
from app.core.setting_loader import ENV_FILE
from app.core.setting_meta import env_name, is_secret
from app.core.text import one_line
from app.doctor.finding import Finding, Level
from app.domain.errors import SettingsInvalid
from app.files.ownership import ownership_of

app = typer.Typer(add_completion=False)

MADE = Path(".venv/.synced")  # by `make setup`
MARKS = {Level.OK: "✓", Level.WARN: "!", Level.FAIL: "✗"}
# Of a trouble that other commands know as well: theirs.
CODES = {"database.unreachable": Exit.REMOTE_DOWN, "database.read_only": Exit.REMOTE_DOWN}
CODES |= {"telegram.unreachable": Exit.REMOTE_DOWN}


@app.command()
def setup(
    *,
    domain: Annotated[str | None, typer.Option(help="API_DOMAIN.")] = None,
    database_file: Annotated[Path | None, typer.Option(help="A file with DATABASE_URL.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="A file with TELEGRAM_TOKEN.")] = None,
    chat: Annotated[str | None, typer.Option(help="OPERATOR_CHAT_ID.")] = None,
    fal_key_file: Annotated[Path | None, typer.Option(help="A file with FAL_API_KEY.")] = None,
    account: Annotated[str | None, typer.Option(help="FAL_USER_ID.")] = None,
    no_check: Annotated[bool, typer.Option("--no-check", help="Write without checking.")] = False,
    json: Json = False,
) -> None:
    """Ask for domain, database, token, chat and fal's key, check each, and write .env (0600); other lines stay.

    Options answer in place of a person, and then nothing is asked. Exit 1 when a check fails, 2 without a terminal and
    options, 69 for what does not answer, 78 for a value that cannot be.
    """
    given: dict[str, str | Path | None] = {
        "--domain": domain,
        "--database-file": database_file,
        "--token-file": token_file,
        "--chat": chat,
        "--fal-key-file": fal_key_file,
        "--account": account,
    }
    answers = Answers(ENV_FILE)
    session = _Session(answers, is_quiet=json, checks=not no_check)
    if any(value is not None for value in given.values()):
        session.take(given)
    elif sys.stdin.isatty():
        session.ask()
    else:
        flags = " ".join(question.option for question in QUESTIONS)
        session.give_up(Exit.USAGE, "no_terminal", {"flags": flags})
    session.finish()


class _Session:
    """One run: asks or takes, tells what the checks found, writes at the end."""

    def __init__(self, answers: Answers, *, is_quiet: bool, checks: bool) -> None:
        self._answers = answers
        self._is_quiet = is_quiet
        self._checks = checks
        self._found: list[tuple[str, Finding]] = []
        if answers.complaint:
            self._say(answers.complaint)

    def take(self, given: Mapping[str, str | Path | None]) -> None:
        """Take the answers of the options; give up at what does not fit."""
        code = Exit.OK
        for question in QUESTIONS:
            value = given[question.option]
            if value is None:
                continue
            text = value.read_text(encoding="utf-8").strip() if isinstance(value, Path) else value
            self._answers.take(question, text)  # main words what it raises
            if (failed := self._check(question)) is not None:
                code = code or failed
        if code:
            self.give_up(code, "refused", {})

    def ask(self) -> None:
        """Ask a person, question after question."""
        self._say(self._words("intro"))
        for question in QUESTIONS:
            if (name := self._answers.stands_in_environment(question)) is not None:
                self._say(self._words("environment", {"name": name}))
                continue
            self._ask(question)

    def _ask(self, question: Question) -> None:
        last = None
        while True:
            answer = self._input(question)
            if answer:
                try:
                    self._answers.take(question, answer)
                except SettingsInvalid as error:
                    self._say(str(error))
                    continue
            if self._check(question) is None or (last is not None and answer in ("", last)):
                return
            last = answer
            self._say(self._words("again"))

    def _input(self, question: Question) -> str:
        shown = self._answers.shown(question)
        default = self._words("none") if shown is None else shown or self._words("kept")
        prompt = (
            f"\n{translate(ASKS[question.field], self._answers.language)}\n{env_name(question.field)} [{default}]: "
        )
        try:
            # What is secret is not shown while it is typed either.
            return (
                getpass.getpass(prompt) if is_secret(Settings.model_fields[question.field]) else input(prompt)
            ).strip()
        except EOFError:
            self.give_up(Exit.CHECK_FAILED, "ended", {})

    def _check(self, question: Question) -> Exit | None:
        """Check what stands there now; return the exit code of the first failure."""
        if not self._checks:
            return None
        code = None
        for each in asyncio.run(question.check(self._answers.settings, self._answers.language)):
            self._found.append((env_name(question.field), each))
            self._say(f"  {MARKS[each.level]} {one_line(each.text)}")
            if each.level is not Level.OK and each.remedy:
                self._say(f"    {one_line(each.remedy)}")
            if each.level is Level.FAIL and code is None:
                code = CODES.get(each.code, Exit.CHECK_FAILED)
        return code

    def finish(self) -> None:
        """Write what changed, and name the next command."""
        answers, mode = self._answers, None
        if answers.changed:
            mode = self._write()
            facts = {"path": answers.env_file, "mode": f"{mode:o}", "names": ", ".join(answers.changed)}
            self._say(f"\n{self._words('written', facts)}")
        else:
            self._say(f"\n{self._words('same', {'path': answers.env_file})}")
        command = self._next(mode)
        self._say(self._words("next", {"command": command}))
        if self._is_quiet:
            self._print(mode, command)

    def _write(self) -> int:
        answers = self._answers
        try:
            return answers.write()
        except NotWritable:
            self.give_up(Exit.CONFIG, "unquotable", {"name": ", ".join(answers.changed)})
        except UnicodeError:
            self.give_up(Exit.CONFIG, "not_utf8", {"path": answers.env_file})
        except OSError as error:
            owner = ownership_of(answers.env_file).sudo_name
            facts = {"path": answers.env_file, "why": error.strerror, "owner": owner, "command": f"{called()} setup"}
            self.give_up(Exit.CONFIG, "unreadable", facts)

    def _next(self, mode: int | None) -> str:
        if any(each.code == "database.behind" for _, each in self._found):
            return f"{called()} migrate"
        group = unit_group()
        letting_in = ""
        if group is not None and mode == PRIVATE:
            letting_in = f"sudo chgrp {group.gr_name} {ENV_FILE} && sudo chmod 640 {ENV_FILE} && "
        command = restart()
        if command is None:  # an environment of pip's own is left alone by `make`
            return "make run" if MADE.exists() or not MADE.parent.exists() else f"{called()} serve"
        return letting_in + command

    def _print(self, mode: int | None, command: str | None, error: str | None = None) -> None:
        checks = [
            {"setting": name, "code": each.code, "level": each.level, "text": each.text, "remedy": each.remedy}
            for name, each in self._found
        ]
        document: dict[str, Any] = {
            "written": None if mode is None else str(self._answers.env_file),
            "changed": list(self._answers.changed),
            "checks": checks,
            "error": error,
            "next_command": command,
        }
        print_json(document)

    def give_up(self, code: Exit, name: str, facts: Mapping[str, object]) -> NoReturn:
        """End without having written anything."""
        text = self._words(name, facts)
        if self._is_quiet:
            self._print(None, None, text)
        sys.stderr.write(f"{text}\n")
        raise typer.Exit(code)

    def _words(self, name: str, facts: Mapping[str, object] | None = None) -> str:
        shown = {key: one_line(str(value)) for key, value in (facts or {}).items()}
        return translate(SAYS[name], self._answers.language).format(**shown)

    def _say(self, text: str) -> None:
        if not self._is_quiet:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
