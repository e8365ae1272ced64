"""`aisha-webhook why`: one job from fal to its owner, what it waits for, and what to run next."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer

from app.catalog import translate
from app.cli.operate import with_database
from app.cli.output import Json, print_json
from app.core.clock import SystemClock
from app.core.setting_loader import load_settings
from app.core.text import one_line
from app.db import schema
from app.db.engine import Database
from app.domain.invented import Invented
from app.domain.language import Language
from app.domain.story import Sentence, Story
from app.domain.story_words import HEADS, WORDS
from app.flows.why import why as tell

app = typer.Typer(add_completion=False)
NO_MOMENT = " " * len("2026-11-29 12:00:00")


@app.command()
def why(request_id: Annotated[str, typer.Argument(help="fal's request id.")], *, json: Json = False) -> None:
    """Tell the story of one job: fal, inbox, avatar, messages; what is waited for, and the next command."""
    settings = load_settings()

    async def read(database: Database) -> Story:
        bot_tables = await schema.find_bot_tables(database)
        invented, has_token = Invented.of(settings.invented_artifacts), settings.telegram_token is not None
        return await tell(database, bot_tables, SystemClock(), request_id, invented=invented, has_token=has_token)

    story, language = with_database(read), settings.operator_language
    if json:
        print_json(as_json(story, language))
        return
    for line in lines(story, language):
        typer.echo(line)


def lines(story: Story, language: Language) -> Iterator[str]:
    """Word a story for people: a line for each sentence, then how it goes on. Times are UTC."""
    for sentence in story.sentences:
        at = NO_MOMENT if sentence.at is None else _spell(sentence.at)
        yield f"{at}  {say(sentence, language)}"
    if story.sentences:
        yield ""
    head, last = ("waits_for", story.waits_for) if story.waits_for is not None else ("end", story.end)
    if last is not None:
        due = "" if last.at is None else f" ({translate(HEADS['due'], language).format(at=_spell(last.at))})"
        yield f"{translate(HEADS[head], language)} {say(last, language)}{due if head == 'waits_for' else ''}"
    if story.next_command:
        yield translate(HEADS["next"], language).format(command=one_line(story.next_command))


def say(sentence: Sentence, language: Language) -> str:
    """Word one sentence. What others wrote into its facts cannot steer a terminal."""
    facts = {name: one_line(str(value)) for name, value in sentence.facts.items()}
    return translate(WORDS[sentence.code], language).format(**facts)


def as_json(story: Story, language: Language) -> dict[str, Any]:
    """Spell a story for programs; codes are stable, texts are not."""
    return {
        "request_id": story.request_id,
        "story": [_plain(sentence, language) for sentence in story.sentences],
        "waits_for": None if story.waits_for is None else _plain(story.waits_for, language),
        "end": None if story.end is None else _plain(story.end, language),
        "next_command": story.next_command or None,
    }


def _plain(sentence: Sentence, language: Language) -> dict[str, Any]:
    text = say(sentence, language)
    return {"code": sentence.code, "at": sentence.at, "text": text, "facts": dict(sentence.facts)}


def _spell(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"
