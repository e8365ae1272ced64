"""What `why` prints: a story in the operator's language, what is waited for, and the next command."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from sqlalchemy import update
from typer.testing import CliRunner, Result

from app.cli.main import app
from app.cli.why import lines
from app.core.text import UNSAFE
from app.db import inbox
from app.db.engine import open_database
from app.db.tables import deliveries
from app.domain.explain import explain
from app.domain.language import Language
from app.domain.story import StoryFacts
from tests.factories import delivery
from tests.fakes import START
from tests.story_rows import stories_facts

HOSTILE = "r1\x1b[31m\u202e"


@pytest.fixture
def url(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    engine = open_database(database_url).engine
    with engine.begin() as transaction:
        inbox.put(transaction, [(delivery("r1"), START), (delivery(HOSTILE), START)])
        transaction.execute(update(deliveries).values(state="dead", reason="orphan", finished_at=START))
    engine.dispose()
    return database_url


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["why", *words])


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "ru",
            [
                "2026-11-22 12:00:00  пришёл вебхук fal, доставка 1",
                "2026-11-22 12:00:00  доставка 1 отложена: orphan",
                "                     ни один аватар не носит этот номер",
                "",
                "Ждём: решение за вами: впишите номер в avatars.fal_request_id и повторите; чужое задание закройте",
                "Дальше: aisha-webhook deliveries redrive 1",
            ],
        ),
        (
            "en",
            [
                "2026-11-22 12:00:00  fal's webhook arrived, delivery 1",
                "2026-11-22 12:00:00  delivery 1 was set aside: orphan",
                "                     no avatar carries this request id",
                "",
                "Waiting: yours to decide: put the id into avatars.fal_request_id and redrive; ignore a job of others",
                "Next: aisha-webhook deliveries redrive 1",
            ],
        ),
    ],
)
def test_a_story_in_the_operator_s_language(
    url: str, monkeypatch: pytest.MonkeyPatch, language: str, expected: list[str]
) -> None:
    """A line for each thing that happened, then what is waited for and the next command."""
    monkeypatch.setenv("DEFAULT_LANGUAGE", language)
    result = call("r1")
    assert (result.exit_code, result.stdout.splitlines()) == (0, expected)


def test_an_id_that_nobody_heard_of_ends_well(url: str) -> None:
    """It is no error to ask: the end and the next command are told."""
    result = call("r9")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "Итог: об этом номере сервер не слышал; проверьте, верен ли он",
        "Дальше: aisha-webhook deliveries list",
    ]


def test_json_has_codes_moments_and_facts(url: str) -> None:
    """Programs read stable codes; exactly one of `waits_for` and `end` is there."""
    told = json.loads(call("r1", "--json").stdout)
    assert list(told) == ["request_id", "story", "waits_for", "end", "next_command"]
    assert [sentence["code"] for sentence in told["story"]] == ["delivery.arrived", "delivery.dead", "subject.none"]
    assert told["story"][1]["facts"] == {"id": 1, "reason": "orphan"}
    assert told["story"][0]["at"] == "2026-11-22T12:00:00+00:00"
    assert (told["waits_for"]["code"], told["end"]) == ("decide.orphan", None)


def test_what_a_stranger_wrote_cannot_steer_the_terminal(url: str) -> None:
    """A request id may hold anything: it is printed escaped, in the command as well (fault 44)."""
    assert UNSAFE.search(call(HOSTILE).stdout.replace("\n", "")) is None
    assert UNSAFE.search(call(HOSTILE, "--json").stdout.replace("\n", "")) is None


def test_an_unmigrated_database_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read from a database without our tables."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/empty.db")
    assert call("r1").exit_code != 0


@given(stories_facts)
def test_every_story_has_words(on_record: StoryFacts) -> None:
    """Whatever the rows hold, every sentence is worded, and none of them says that something is not known."""
    story = explain(on_record, START)
    for language in get_args(Language):
        told = "\n".join(lines(story, language))
        assert not re.search(r"\bunknown\b|неизвестн", told, re.IGNORECASE)
        assert UNSAFE.search(told.replace("\n", "")) is None
