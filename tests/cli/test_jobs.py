"""What `jobs list` and `jobs show` print."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli.main import app
from app.db import operator_queries
from app.db.engine import open_database
from app.db.operator_queries import Queue
from tests.fakes import START
from tests.job_facts import add_job

NONCE = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def url(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    database = open_database(database_url)
    add_job(database, "r1", stage="at_work", nonce=NONCE)
    add_job(database, "r2", state="dead", reason="endpoint_unknown", finished_at=START)
    database.engine.dispose()
    return database_url


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["jobs", *words])


def test_jobs_are_listed_newest_first(url: str) -> None:
    """A row for each, with what it waits for."""
    lines = call("list").stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [["r2", "dead", "-"], ["r1", "pending", "at_work"]]


def test_a_state_may_be_asked_for(url: str) -> None:
    """Only jobs of that state; where there is none, a sentence."""
    assert [row["request_id"] for row in json.loads(call("list", "--state", "dead", "--json").stdout)] == ["r2"]
    assert call("list", "--state", "historic").stdout == "нет строк в состоянии historic: jobs\n"


def test_a_job_is_shown_whole_but_for_its_nonce(url: str) -> None:
    """Every column has its line; what travels in our webhook's URL stays out of terminals and logs."""
    result = call("show", "r1")
    assert "endpoint_source" in result.stdout
    assert NONCE not in result.stdout + call("show", "r1", "--json").stdout + call("list", "--json").stdout
    assert "nonce" not in result.stdout


def test_a_job_that_there_is_not_is_told(url: str) -> None:
    """Exit 1 and the command that lists those there are."""
    result = call("show", "r9")
    assert (result.exit_code, "aisha-webhook jobs list" in result.output) == (1, True)


@pytest.mark.parametrize("act", [operator_queries.redrive, operator_queries.ignore])
def test_no_hand_changes_a_job(url: str, act: object) -> None:
    """What fal works on cannot be redriven or closed here."""
    with open_database(url).engine.begin() as transaction, pytest.raises(ValueError, match="neither redriven"):
        act(transaction, Queue.JOBS, [1], note="", now=START)  # type: ignore[operator]  # both take this
