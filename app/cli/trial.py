"""`aisha-webhook try`: the whole way on the running server, each step with its time."""

import sys
from functools import partial
from typing import Annotated, Any

import typer

from app.catalog import translate
from app.cli.operate import with_database
from app.cli.output import Json, called, print_json
from app.cli.trial_way import Facts, Step, Trial, TrialFailed, walk
from app.cli.trial_words import COMMANDS, FAILED, HEAD, NEXT, RIGHT, STEPS
from app.core.exit_codes import Exit
from app.core.setting_loader import load_settings
from app.core.text import one_line
from app.doctor.host.asking import Target, name_let_in, reachable
from app.domain.language import Language, Msgid, msgid
from app.domain.notification import OPERATOR, Owner
from app.flows.trial import message_about
from app.telegram.catalogs import Catalogs
from app.telegram.wording import word

MILLISECONDS = msgid("ms")
app = typer.Typer(add_completion=False)


@app.command("try")
def try_(
    *,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Ask this replica instead of API_PORT.")] = None,
    json: Json = False,
) -> None:
    """Send one signed delivery through the running server and see the message; the bot's tables stay untouched.

    Exit 1 at the first step that fails.
    """
    settings = load_settings()
    language = settings.operator_language
    name = name_let_in(settings.allowed_hosts)
    target = Target(reachable(settings.api_host), port or settings.api_port, name, settings.ssl_enabled)
    trial = Trial(target, settings.data_dir, has_port=port is not None)
    shown = word(
        message_about(trial.request_id, Owner(OPERATOR, 0, language)), Catalogs(settings.default_language)
    ).plain
    steps: list[Step] = []

    def took(step: Step) -> None:
        steps.append(step)
        if not json:
            _print_step(step, language)

    if not json:
        sys.stdout.write(f"{_say(HEAD, language, {'url': trial.url})}\n")
    failure = None
    try:
        with_database(partial(walk, trial, took=took))
    except TrialFailed as error:
        failure = error
    if json:
        print_json(_document(trial, steps, failure, shown, language))
    elif failure is None:
        _print_end(steps, shown, language)
    else:
        sys.stdout.flush()
        sys.stderr.write(f"  ✗ {_say(FAILED[failure.code], language, failure.facts)}\n")
        sys.stderr.write(f"{_say(NEXT, language, {'command': _command(failure.code, failure.facts)})}\n")
    if failure is not None:
        raise typer.Exit(Exit.CHECK_FAILED)


def _print_step(step: Step, language: Language) -> None:
    unit = translate(MILLISECONDS, language)
    sys.stdout.write(f"  ✓ {step.ms:7.1f} {unit}  {_say(STEPS[step.code], language, step.facts)}\n")
    sys.stdout.flush()


def _print_end(steps: list[Step], shown: str, language: Language) -> None:
    sys.stdout.write("\n")
    sys.stdout.writelines(f"  │ {line}\n" for line in shown.splitlines())
    ms = round(sum(step.ms for step in steps))
    sys.stdout.write(f"\n{_say(RIGHT, language, {'ms': ms})}\n")
    if (command := _command(steps[-1].code, {})) is not None:
        sys.stdout.write(f"{_say(NEXT, language, {'command': command})}\n")


def _document(
    trial: Trial, steps: list[Step], failure: TrialFailed | None, shown: str, language: Language
) -> dict[str, Any]:
    """Spell the trial for programs; codes are stable, texts are not."""
    told: list[dict[str, Any]] = [
        {"code": step.code, "ok": True, "ms": step.ms, "text": _say(STEPS[step.code], language, step.facts)}
        for step in steps
    ]
    command = _command(steps[-1].code, {}) if steps else None
    if failure is not None:
        text = _say(FAILED[failure.code], language, failure.facts)
        told.append({"code": failure.code, "ok": False, "ms": None, "text": text})
        command = _command(failure.code, failure.facts)
    return {
        "ok": failure is None,
        "url": trial.url,
        "request_id": trial.request_id,
        "steps": told,
        "message": shown if failure is None else None,
        "next_command": command,
    }


def _command(code: str, facts: Facts) -> str | None:
    template = COMMANDS.get(code)
    return None if template is None else template.format(cli=called(), **facts)


def _say(words: Msgid, language: Language, facts: Facts) -> str:
    return translate(words, language).format(**{name: one_line(str(value)) for name, value in facts.items()})
