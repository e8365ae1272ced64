"""Acts on a whole search from the command line: rehearsed, then done as they were rehearsed."""

import asyncio
import json
import re
import sys
from typing import Any

import pytest
from sqlalchemy import insert, select
from typer.testing import CliRunner, Result

from app.cli.main import app
from app.cli.output import called
from app.db.engine import open_database
from app.db.tables import deliveries, events
from app.twins import bodies
from tests.cli.day import LATER, change

DIGEST = re.compile(r"--digest ([0-9a-f]{64})")
DEAD = ("--filter", "state:dead")


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["deliveries", *words])


def read(url: str, statement: Any) -> list[Any]:
    async def run() -> list[Any]:
        database = open_database(url)
        found = await database.read(lambda connection: [tuple(row) for row in connection.execute(statement)])
        await database.close()
        return list(found)

    return asyncio.run(run())


def states(url: str) -> list[str]:
    return [state for (state,) in read(url, select(deliveries.c.state).where(deliveries.c.id > 60).order_by("id"))]


def test_what_was_rehearsed_is_done_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rehearsal changes nothing and ends with the command; that does it with its reason, and not a second time."""
    said = call("ignore", *DEAD, "--rehearse")
    assert said.exit_code == 0, said.output
    assert said.stdout.splitlines()[:3] == [
        "rehearsal: ignore of 3 deliveries; nothing was changed",
        "  3 are closed (they were dead)",
        "  0 owners told, 0 told twice",
    ]
    assert states(url) == ["dead"] * 3
    digest = DIGEST.search(said.stdout.splitlines()[-1])
    assert digest is not None
    done = call("ignore", *DEAD, "--digest", digest[1], "--why", "of a former bot")
    assert (done.exit_code, done.stdout) == (0, "ignore: 3 of 3 deliveries\n")
    assert states(url) == ["ignored"] * 3
    whys = read(url, select(events.c.why).where(events.c.kind == "ignored"))
    assert whys == [("of a former bot",)] * 3
    typed = ["ignore", *DEAD, "--digest", digest[1], "--why", "of a former bot"]
    monkeypatch.setattr(sys, "argv", ["aisha-webhook", "deliveries", *typed])
    again = call(*typed)
    assert (again.exit_code, again.stdout) == (1, "")
    rehearsal = "deliveries ignore --filter state:dead --rehearse --why 'of a former bot'"
    assert again.stderr.endswith(f"nothing was done. Rehearse again: {called()} {rehearsal}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (DEAD, "an act on a whole search wants --why"),
        (("61", *DEAD), "give either ids or --filter"),
        (("--why", "x"), "give either ids or --filter"),
        (("--filter", "sate:dead", "--why", "x"), "did you mean state?"),
    ],
)
def test_an_act_that_is_not_meant_is_not_done(url: str, words: tuple[str, ...], said: str) -> None:
    """Without a reason, without rows or with two ways to name them nothing is done; the exit code is 2."""
    result = call("redrive", *words)
    assert (result.exit_code, states(url)) == (2, ["dead"] * 3)
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_a_rehearsal_speaks_russian_and_json(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """People read it in their language; a program gets every row, and the digest."""
    monkeypatch.setenv("DEFAULT_LANGUAGE", "ru")
    said = call("redrive", *DEAD, "--rehearse")
    assert said.stdout.splitlines()[0] == "репетиция: redrive, deliveries, строк: 3; ничего не изменено"
    assert "останутся как есть (dead: not_json): 1" not in said.stdout  # its body is JSON by now
    told = json.loads(call("redrive", *DEAD, "--rehearse", "--json").stdout)
    assert (told["matched"], len(told["rows"]), len(told["digest"])) == (3, 3, 64)
    assert states(url) == ["dead"] * 3


def test_other_kinds_are_played_as_well(url: str) -> None:
    """A delivery about images is read by the code that reads it in the server, not left for want of a kind."""
    row = {**LATER, "id": 64, "request_id": "g1", "kind": "generation", "state": "dead", "reason": "fal_down"}
    row["body"] = bodies.success("g1", bodies.images("g1"))
    change(url, lambda connection: connection.execute(insert(deliveries).values(row)))
    said = call("redrive", "64", "--rehearse")
    assert said.exit_code == 0, said.output
    assert "(kind)" not in said.stdout
    assert "orphan" in said.stdout
