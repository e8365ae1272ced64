"""Searching, following and completing from the command line."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner, Result

from app.cli import browse
from app.cli.main import app
from app.db.engine import open_database
from app.db.operator_queries import Queue
from app.db.tables import deliveries
from tests.cli.day import LATER

ROOT = Path(__file__).parents[2]


def add(connection: Any, row: dict[str, Any]) -> None:
    connection.execute(insert(deliveries).values(row))


def call(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_a_list_takes_the_same_words_as_the_pages(url: str) -> None:
    """A search finds its rows, says how many there are, and how far it looked into bodies."""
    found = call("deliveries", "list", "state:dead", "reason:conflict", "--json")
    assert [row["id"] for row in json.loads(found.stdout)] == [61]
    assert "the newest 2 of 63" in call("deliveries", "list", "kind:training", "--limit", "2").stderr
    assert "bodies looked at: 63, all of them" in call("deliveries", "list", 'contains:"two people"').stderr
    assert call("notifications", "list", "kind:failed").stdout == "no notifications like this\n"


@pytest.mark.parametrize(
    ("language", "said"), [("en", "did you mean dead?"), ("ru", "может быть, dead?")], ids=["en", "ru"]
)
def test_a_search_that_is_wrong_says_what_is_meant(
    url: str, monkeypatch: pytest.MonkeyPatch, language: str, said: str
) -> None:
    """The sentence is in the operator's language; the exit code is that of a wrong command line."""
    monkeypatch.setenv("DEFAULT_LANGUAGE", language)
    wrong = call("deliveries", "list", "state:daed")
    assert wrong.exit_code == 2
    assert said in " ".join(wrong.stderr.replace("│", " ").split())


def test_tail_prints_what_comes_once(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest rows first, then each new one in a line; one whose id came late is not missed, none is said twice."""
    turns = iter(([70, 72], [71], [], None))

    async def wait(_: float) -> None:
        coming = next(turns)
        if coming is None:
            raise KeyboardInterrupt
        rows = [{**LATER, "id": number, "request_id": f"new-{number}"} for number in coming]
        database = open_database(url)
        for row in rows:
            await database.write(add, row)
        await database.close()

    follow(wait, lines=2, as_json=False)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[2] for line in lines] == ["62", "63", "70", "72", "71"]
    assert lines[2][3:] == ["pending", "-", "new-70", "webhook"]


def test_tail_follows_a_search_as_json(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json each line is a document, and only what the search means is printed."""
    turns = iter((("dead", 70), ("pending", 71), None))

    async def wait(_: float) -> None:
        coming = next(turns)
        if coming is None:
            raise KeyboardInterrupt
        state, number = coming
        database = open_database(url)
        row = {**LATER, "id": number, "request_id": f"new-{number}", "state": state}
        await database.write(add, row)
        await database.close()

    follow(wait, "state:dead", lines=0, as_json=True)
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == [70]
    assert call("deliveries", "tail", "contains:x").exit_code == 2


def follow(wait: Callable[[float], Awaitable[None]], *words: str, lines: int, as_json: bool) -> None:
    with pytest.raises(KeyboardInterrupt):
        browse.follow(Queue.DELIVERIES, words, lines=lines, as_json=as_json, wait=wait)
