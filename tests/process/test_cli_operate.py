"""What `redrive` and `ignore` say about rows that they leave as they are."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from typer.testing import CliRunner, Result

from app.cli.main import app
from app.db.engine import open_database
from app.db.tables import deliveries, jobs, notifications
from tests.factories import Bot
from tests.fakes import START

OWED: dict[str, Any] = {
    "due_at": START,
    "delivery_id": 1,
    "avatar_id": "a1",
    "request_id": "r1",
    "avatar_name": "Айша",
    "owner_id": "o1",
    "chat_id": 42,
    "language": "ru",
    "received_at": START,
    "stored_at": START,
    "applied_at": START,
}
LATER = datetime.now(UTC) + timedelta(days=1)  # noqa: TID251  the command reads the real clock


@pytest.fixture
def url(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("DEFAULT_LANGUAGE", "en")
    return database_url


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["notifications", *words])


def owe(url: str, *rows: dict[str, Any]) -> None:
    async def run() -> None:
        database = open_database(url)
        with database.engine.begin() as transaction:
            for row in rows:
                transaction.execute(insert(notifications).values({**OWED, **row}))
        await database.close()

    asyncio.run(run())


def states(url: str) -> list[str]:
    async def run() -> list[str]:
        database = open_database(url)
        with database.engine.connect().execution_options(write=False) as connection:
            found = list((connection.execute(select(notifications.c.state).order_by("id"))).scalars())
        await database.close()
        return found

    return asyncio.run(run())


def test_a_request_id_revives_no_failure_beside_its_success(url: str) -> None:
    """The dead "ready" is sent again; the failure that it overtook stays closed (fault 26)."""
    owe(
        url,
        {"kind": "failed", "state": "ignored", "reason": "overtaken"},
        {"kind": "ready", "state": "dead", "reason": "owner_unreachable"},
    )
    result = call("redrive", "r1")
    assert (result.exit_code, states(url)) == (0, ["ignored", "pending"])
    assert result.stdout.splitlines() == [
        "notifications 1: left as it is: its owner is told that the avatar is ready instead",
        "notifications 2: redrive done",
    ]


def test_what_an_operator_ignored_is_redriven_by_its_own_id_only(url: str) -> None:
    """A request id may name several rows: what was closed by hand must be meant."""
    owe(url, {"kind": "ready", "state": "ignored", "reason": "rejected"})
    result = call("redrive", "r1")
    assert (result.exit_code, states(url)) == (1, ["ignored"])
    assert (
        result.stdout == "notifications 1: left as it is: it is ignored; name it by its id to redrive it all the same\n"
    )
    assert call("redrive", "1").exit_code == 0
    assert states(url) == ["pending"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"state": "pending", "reason": "sending", "due_at": LATER}, "it is being sent now"),
        (
            {"state": "dead", "reason": "no_chat_id", "chat_id": None, "owner_id": ""},
            "its owner has no chat id; correct users.telegram_id first",
        ),
        ({"state": "sent", "reason": "sent"}, "it is sent already, there is nothing to redrive"),
        (
            {"state": "unsent", "reason": "no_token", "avatar_name": "", "detail": "retention has emptied this row"},
            "retention has emptied it",
        ),
    ],
)
def test_what_is_left_alone_says_why(url: str, row: dict[str, Any], why: str) -> None:
    """One line for each row that no redrive changes."""
    owe(url, {"kind": "ready", **row})
    result = call("redrive", "r1")
    assert (result.exit_code, result.stdout) == (1, f"notifications 1: left as it is: {why}\n")
    assert states(url) == [row["state"]]


def test_a_done_delivery_is_redriven_where_its_avatar_has_drifted(url: str) -> None:
    """The answer says why one is left, and one more is applied where the row does not stand as the job ended."""
    moments = {"received_at": LATER, "stored_at": LATER, "last_received_at": LATER, "finished_at": LATER}
    done: dict[str, Any] = {
        **moments,
        "state": "done",
        "due_at": LATER,
        "request_id": "r1",
        "body_sha256": "0" * 64,
        "body": b"{}",
        "headers": "{}",
        "source": "webhook",
    }
    ended: dict[str, Any] = {
        "state": "done",
        "due_at": LATER,
        "finished_at": LATER,
        "request_id": "r1",
        "endpoint_source": "guessed",
        "first_seen_at": LATER,
        "outcome": "failed",
    }

    async def prepare(status: str) -> None:
        database = open_database(url)
        if status == "error":
            await Bot(database).train("r1", status=status)
        with database.engine.begin() as transaction:
            if status == "error":
                transaction.execute(insert(deliveries).values(done))
                transaction.execute(insert(jobs).values(ended))
            transaction.execute(text("UPDATE avatars SET status = :status"), {"status": status})
        await database.close()

    asyncio.run(prepare("error"))
    left = CliRunner().invoke(app, ["deliveries", "redrive", "r1"])
    assert left.exit_code == 1
    assert left.stdout == "deliveries 1: left as it is: done already, its avatar has not drifted: nothing to redrive\n"
    asyncio.run(prepare("training"))
    assert CliRunner().invoke(app, ["deliveries", "redrive", "r1"]).stdout == "deliveries 1: redrive done\n"


def test_queues_speak_russian(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without DEFAULT_LANGUAGE lists and decisions are said in Russian; states and operations keep their names."""
    monkeypatch.delenv("DEFAULT_LANGUAGE")
    assert call("list", "--state", "dead").stdout == "нет строк в состоянии dead: notifications\n"
    owe(url, {"state": "sent", "reason": "sent", "kind": "ready"})
    told = call("redrive", "1").stdout
    assert told == "notifications 1: оставлено как есть: уже отправлено, делать redrive нечего\n"
    assert "нет строки с id или request id 'nobody'" in call("show", "nobody").output
