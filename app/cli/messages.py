"""Look at what owners and the operator read, without sending anything."""

from typing import Annotated, Any

import typer

from app.cli.message_samples import Sample, operators_samples, owners_samples
from app.cli.output import Json, print_json
from app.core.exit_codes import Exit
from app.core.setting_loader import load_settings
from app.core.text import one_line
from app.domain.message import LinkButton
from app.telegram.catalogs import Catalogs
from app.telegram.names import bare

app = typer.Typer(no_args_is_help=True, add_completion=False, help="What is said in Telegram, word by word.")


@app.callback()
def messages() -> None:
    """Look at messages, word by word."""


@app.command()
def preview(
    *,
    language: Annotated[str | None, typer.Option(help="ru | kk | en; else DEFAULT_LANGUAGE.")] = None,
    topic: Annotated[str | None, typer.Option(help="ready | failed | progress | alert | …; else all.")] = None,
    cause: Annotated[str | None, typer.Option(help="A cause, condition, line or type: no_face, late, style.")] = None,
    name: Annotated[str, typer.Option(help="What the avatar is called.")] = "Айша",
    json: Json = False,
) -> None:
    """Show messages as they would be sent, with their buttons; sends nothing and opens no database."""
    settings = load_settings()
    catalogs = Catalogs(settings.default_language)
    tongue = language or settings.default_language
    samples = [
        sample
        for sample in (
            *owners_samples(catalogs, tongue, name, settings.support_url),
            *operators_samples(catalogs, tongue, "web-1"),
        )
        if topic in (None, sample.topic) and cause in (None, sample.variant)
    ]
    if not samples:
        typer.echo("there is no such message; without --topic and --cause every one is shown", err=True)
        raise typer.Exit(Exit.CHECK_FAILED)
    if json:
        print_json([_fields(sample, catalogs.language(tongue)) for sample in samples])
        return
    typer.echo("\n\n".join(_shown(sample) for sample in samples))


def _shown(sample: Sample) -> str:
    """Write a message as a chat shows it: its lines without marks, and its buttons in brackets, a row a line."""
    rows = ["  ".join(f"[{label}]" for label, _ in row) for row in sample.message.keyboard]
    lines = [one_line(line) for line in bare(sample.message.plain).split("\n")]
    return "\n".join([f"── {sample.name}", *lines, *rows])


def _fields(sample: Sample, language: str) -> dict[str, Any]:
    return {
        "topic": sample.topic,
        "cause": sample.variant or None,
        "language": language,
        "text": sample.message.plain,
        "html": sample.message.html,
        "buttons": [
            [
                {"text": button[0], "url" if isinstance(button, LinkButton) else "callback_data": button[1]}
                for button in row
            ]
            for row in sample.message.keyboard
        ],
    }
