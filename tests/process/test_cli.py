"""The command line: what an operator sees, what a script gets, and how it ends."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner, Result

from app import __version__
from app.cli import main as command
from app.cli.main import app
from app.core.text import UNSAFE
from app.db import inbox, outbox
from app.db.engine import Connection, open_database
from app.db.tables import HEAD, deliveries, notifications
from app.domain.delivery import Claim, ClaimedDelivery
from app.domain.notification import Owner, OwnerMessage, Topic
from tests.factories import delivery
from tests.fakes import START

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
HOSTILE = "\x1b[31m\x1b]0;owned\x07\x9b2J\u202egpj.exe\u2066\u200b\r\n\x00"
CANARY = "canary-7f3a"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No .env of the developer's is read, and nothing is written into the project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("DEFAULT_LANGUAGE", "en")


@pytest.fixture
def url(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both databases."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    return database_url


@pytest.fixture
def sqlite(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Only one, where the database does not matter."""
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    return sqlite_url


def call(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def call_main(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    """The whole entry point, with what it makes of errors; return the exit code."""
    monkeypatch.setattr(sys, "argv", ["aisha-webhook", *words])
    with pytest.raises(SystemExit) as left:
        command.main()
    return left.value.code


def within(url: str, work: Callable[[Connection], T]) -> T:
    engine = open_database(url).engine
    with engine.begin() as transaction:
        return work(transaction)


def store(url: str, **states: str) -> None:
    """Deliveries by request id, in these states."""

    def work(transaction: Connection) -> None:
        for request_id, state in states.items():
            inbox.put(transaction, [(delivery(request_id), START)])
            transaction.execute(
                update(deliveries).where(deliveries.c.request_id == request_id).values(state=state, reason="because")
            )

    within(url, work)


def owe(url: str, **states: str) -> None:
    def work(transaction: Connection) -> None:
        for request_id, state in states.items():
            item = OwnerMessage("a1", "Айша", request_id, Topic.READY, Owner("o1", 42, "ru"))
            outbox.put(transaction, [(item, ClaimedDelivery(Claim(1, 1), 0, "r", b"", START, START))], START)
            transaction.execute(
                update(notifications).where(notifications.c.request_id == request_id).values(state=state)
            )

    within(url, work)


def states(url: str, table: Any = deliveries) -> list[str]:
    def work(transaction: Connection) -> list[str]:
        return list((transaction.execute(select(table.c.state).order_by(table.c.id))).scalars())

    return within(url, work)


def poison(url: str) -> None:
    """A row in which everything that a stranger can write is hostile (PostgreSQL's text takes no NUL)."""

    def work(transaction: Connection) -> None:
        text = HOSTILE if transaction.dialect.name == "sqlite" else HOSTILE.replace("\x00", "")
        inbox.put(transaction, [(delivery("r1", HOSTILE.encode()), START)])
        transaction.execute(
            update(deliveries).values(
                request_id=f"r1{text}", fal_request_id=text, reason=text, detail=text, headers=text, state="dead"
            )
        )

    within(url, work)


# Lists


def test_an_empty_list_says_so(sqlite: str) -> None:
    """A sentence, not a bare header; and success."""
    result = call("deliveries", "list")
    assert (result.exit_code, result.stdout) == (0, "no deliveries\n")
    assert call("notifications", "list", "--state", "dead").stdout == "no notifications in state dead\n"


def test_deliveries_are_listed_newest_first(url: str) -> None:
    """A line each, with what became of it."""
    store(url, r1="done", r2="dead")
    lines = call("deliveries", "list").stdout.splitlines()
    assert len(lines) == 3
    assert lines[1].split()[:4] == ["2", "r2", "dead", "because"]
    assert lines[2].split()[:4] == ["1", "r1", "done", "because"]


def test_a_list_for_machines_is_one_json_document(url: str) -> None:
    """The same rows, with moments in ISO 8601 and without bodies."""
    store(url, r1="done", r2="dead")
    rows = json.loads(call("deliveries", "list", "--json").stdout)
    assert [(row["request_id"], row["state"]) for row in rows] == [("r2", "dead"), ("r1", "done")]
    assert rows[0]["received_at"] == "2026-11-22T12:00:00+00:00"
    assert "body" not in rows[0]


def test_a_list_can_be_narrowed(url: str) -> None:
    """By state and by count."""
    store(url, r1="dead", r2="done", r3="dead")
    assert [row["id"] for row in json.loads(call("deliveries", "list", "--state", "dead", "--json").stdout)] == [3, 1]
    assert [row["id"] for row in json.loads(call("deliveries", "list", "--limit", "1", "--json").stdout)] == [3]


@pytest.mark.parametrize(
    "words",
    [
        ("deliveries", "list", "--state", "lost"),
        ("deliveries", "list", "--limit", "0"),
        ("deliveries", "show"),
        ("deliveries", "redrive"),
        ("notifications", "resend"),
        ("nonsense",),
    ],
)
def test_wrong_usage_ends_with_2(sqlite: str, words: tuple[str, ...]) -> None:
    """And says what is right, on the standard error."""
    result = call(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr


def test_notifications_are_listed(url: str) -> None:
    """Whom, what, and what became of it."""
    owe(url, r1="sent", r2="dead")
    rows = json.loads(call("notifications", "list", "--json").stdout)
    assert [(row["request_id"], row["chat_id"], row["state"]) for row in rows] == [
        ("r2", 42, "dead"),
        ("r1", 42, "sent"),
    ]
    assert call("notifications", "list").stdout.splitlines()[1].split()[:4] == ["2", "r2", "ready", "42"]


# One row


@pytest.mark.parametrize("key", ["1", "r1"])
def test_a_delivery_is_shown_whole(url: str, key: str) -> None:
    """By our id or fal's: the body as text, for people and for machines."""
    store(url, r1="dead")
    shown = call("deliveries", "show", key)
    assert shown.exit_code == 0
    assert '"status": "OK"' in shown.stdout
    [row] = json.loads(call("deliveries", "show", key, "--json").stdout)
    assert json.loads(row["body"])["request_id"] == "r1"


def test_a_body_that_is_no_text_is_shown_as_hex(sqlite: str) -> None:
    """Nothing breaks on bytes."""
    within(sqlite, lambda transaction: inbox.put(transaction, [(delivery("r1", b"\xff\x00"), START)]))
    [row] = json.loads(call("deliveries", "show", "r1", "--json").stdout)
    assert row["body"] == "ff00"


@pytest.mark.parametrize("verb", ["show", "redrive", "ignore"])
def test_a_row_that_is_not_there_ends_with_1(sqlite: str, verb: str) -> None:
    """And says where to look."""
    result = call("deliveries", verb, "r404")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "aisha-webhook deliveries list" in result.stderr


# Redrive and ignore


def test_a_dead_delivery_is_redriven(url: str) -> None:
    """Due again, and the line says so."""
    store(url, r1="dead")
    result = call("deliveries", "redrive", "r1")
    assert (result.exit_code, result.stdout) == (0, "deliveries 1: redrive done\n")
    assert states(url) == ["pending"]


def test_several_rows_are_changed_by_one_command(url: str) -> None:
    """A line for each; success as long as one could be changed."""
    store(url, r1="dead", r2="done", r3="pending")
    result = call("deliveries", "ignore", "r1", "2", "r3")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "deliveries 1: ignore done",
        "deliveries 2: left as it is: it is done already, there is nothing to ignore",
        "deliveries 3: ignore done",
    ]
    assert states(url) == ["ignored", "done", "ignored"]


def test_what_is_done_is_left_alone(url: str) -> None:
    """Nothing could be changed: exit code 1, and the reason."""
    store(url, r1="done")
    result = call("deliveries", "redrive", "r1")
    assert result.exit_code == 1
    assert "left as it is" in result.stdout
    assert states(url) == ["done"]


def test_the_row_tells_who_did_it(sqlite: str) -> None:
    """The operator's account name and the moment stay with the row."""
    store(sqlite, r1="dead")
    call("deliveries", "ignore", "r1")
    [row] = json.loads(call("deliveries", "show", "r1", "--json").stdout)
    assert row["detail"].startswith("ignore by ")


def test_a_dead_notification_is_redriven_and_a_sent_one_is_not(url: str) -> None:
    """What was sent stays sent."""
    owe(url, r1="dead", r2="sent")
    assert call("notifications", "redrive", "r1").exit_code == 0
    assert call("notifications", "redrive", "r2").exit_code == 1
    assert states(url, notifications) == ["pending", "sent"]


# Hostile rows (fault 44)


@pytest.mark.parametrize("words", [("list",), ("show", "1")])
def test_no_row_steers_the_terminal(url: str, words: tuple[str, ...]) -> None:
    """Escapes, bidirectional and invisible characters of a stranger are shown as escapes."""
    poison(url)
    result = call("deliveries", *words)
    assert result.exit_code == 0
    assert UNSAFE.search(result.stdout.replace("\n", "")) is None
    assert "\\x1b" in result.stdout


@pytest.mark.parametrize("words", [("list",), ("show", "1")])
def test_no_row_steers_the_terminal_by_json(url: str, words: tuple[str, ...]) -> None:
    """JSON is looked at in terminals too: it is escaped, and still the same document."""
    poison(url)
    result = call("deliveries", *words, "--json")
    assert json.loads(result.stdout)[0]["reason"].startswith("\x1b[31m")
    assert UNSAFE.search(result.stdout.replace("\n", "")) is None


def test_a_hostile_argument_is_not_echoed_raw(sqlite: str) -> None:
    """What an operator pastes from a chat does not steer the terminal either."""
    result = call("deliveries", "show", "\x1b[31m\u202er1")
    assert UNSAFE.search(result.stderr.replace("\n", "")) is None


# Settings


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_the_settings_are_shown_without_secrets(
    sqlite: str, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """Of a secret only whether it is set; the others as they are in force (I7)."""
    monkeypatch.setenv("DATABASE_URL", f"postgresql://bot:{CANARY}@127.0.0.1/aisha")
    monkeypatch.setenv("TELEGRAM_TOKEN", f"123456789:{CANARY}-{'x' * 23}")
    monkeypatch.setenv("FAL_API_KEY", f"id:{CANARY}")
    monkeypatch.setenv("FAL_WEBHOOK_SECRET", f"{CANARY}-{CANARY}")
    monkeypatch.setenv("TELEGRAM_RATE", "17")
    result = call("config", "show", *options)
    assert result.exit_code == 0
    assert CANARY not in result.output
    assert "(set)" in result.output
    assert "17" in result.output


def test_a_wrong_setting_ends_with_78_and_does_not_show_its_value(
    sqlite: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name and the remedy on the standard error (fault 52)."""
    monkeypatch.setenv("API_PORT", CANARY)
    assert call_main(monkeypatch, "deliveries", "list") == 78
    out, err = capsys.readouterr()
    assert (out, "API_PORT" in err) == ("", True)
    assert "Traceback" not in err


# What nobody foresaw


def test_a_bug_is_a_sentence_with_its_place(
    sqlite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unforeseen error of a command: one sentence, exit 70, the traceback in the server's log (fault 60)."""
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "api_server.log"
    log.touch()
    monkeypatch.setattr("app.cli.config.env_example", lambda: dict[str, str]()[CANARY])
    monkeypatch.setenv("DEFAULT_LANGUAGE", "en")
    monkeypatch.setenv("TELEGRAM_TOKEN", CANARY)
    assert call_main(monkeypatch, "config", "env-example") == 70
    told = capsys.readouterr().err
    assert (told.count("\n"), str(log) in told, "KeyError" in told) == (1, True, True)
    assert json.loads(log.read_text())["event"] == "process.died"
    assert "Traceback" in log.read_text()
    assert CANARY not in told


@pytest.mark.parametrize(
    ("error", "code"),
    [(PermissionError(13, "Permission denied", "/etc/x"), 78), (OSError(28, "No space left on device", "x"), 75)],
)
def test_a_file_that_cannot_be_used_is_named(
    error: OSError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the machine refuses is no bug of ours: path, cause, and whether to mend it or to try again (fault 60)."""

    def fail() -> str:
        raise error

    monkeypatch.setattr("app.cli.config.env_example", fail)
    assert call_main(monkeypatch, "config", "env-example") == code
    told = capsys.readouterr().err
    assert (told.count("\n"), str(error.filename) in told) == (1, True)


# Databases


def test_a_database_that_does_not_answer_ends_with_69(
    free_tcp_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, no traceback, no password."""
    monkeypatch.setenv("DATABASE_URL", f"postgresql://bot:{CANARY}@127.0.0.1:{free_tcp_port}/aisha")
    for words in (("deliveries", "list"), ("migrate", "--check"), ("migrate",)):
        assert call_main(monkeypatch, *words) == 69
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert "the database does not answer" in err
        assert CANARY not in err


def test_a_database_we_never_touched_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback about a missing table."""
    (tmp_path / "new.db").touch()
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/new.db")
    assert call_main(monkeypatch, "deliveries", "list") == 78
    assert "aisha-webhook migrate" in capsys.readouterr().err


def test_migrate_makes_the_tables_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind, migrated, up to date; `--check` changes nothing and says it with its exit code."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/new.db")
    behind = call("migrate", "--check")
    assert (behind.exit_code, "aisha-webhook migrate" in behind.stdout) == (1, True)
    assert call("migrate", "--check").exit_code == 1
    for _ in range(2):
        done = call("migrate")
        assert (done.exit_code, done.stdout) == (0, f"up to date: {HEAD}\n")
    assert call("migrate", "--check").exit_code == 0
    assert call("deliveries", "list").stdout == "no deliveries\n"


# Backup


def test_a_backup_tells_where_it_lies(sqlite: str, tmp_path: Path) -> None:
    """For people a line, for machines JSON; the copy holds the rows."""
    store(sqlite, r1="done")
    result = call("backup", str(tmp_path / "copies"), "--json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert Path(told["path"]).stat().st_size == told["bytes"]
    with closing(sqlite3.connect(told["path"])) as copy:
        assert copy.execute("SELECT request_id FROM webhook_deliveries").fetchall() == [("r1",)]
    assert call("backup", str(tmp_path / "more")).stdout.startswith(str(tmp_path / "more" / "aisha-"))


def test_a_failed_backup_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cron must notice: the reason on the standard error, no traceback."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    result = call("backup", str(tmp_path / "copies"))
    assert (result.exit_code, result.stdout) == (78, "")
    assert result.stderr.startswith("no backup was made: ")
    (tmp_path / "file").touch()
    assert call("backup", str(tmp_path / "file")).exit_code == 78


def test_a_database_without_our_tables_gives_no_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of it would look like a backup of ours: nothing is made, and the next command stands there."""
    with closing(sqlite3.connect(tmp_path / "bots.db")) as bots:
        bots.execute("CREATE TABLE avatars (id integer)")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/bots.db")
    result = call("backup", str(tmp_path / "copies"))
    assert (result.exit_code, result.stdout, (tmp_path / "copies").exists()) == (78, "", False)
    assert result.stderr.rstrip().endswith("migrate")


@pytest.mark.parametrize(
    "words",
    [
        ("migrate",),
        ("backup",),
        ("deliveries", "list"),
        ("notifications", "list"),
        ("jobs", "list"),
        ("deliveries", "redrive", "1"),
        ("healthcheck",),
    ],
    ids=" ".join,
)
def test_what_an_operator_reads_is_russian_where_that_is_set(
    sqlite: str, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Lists, acts and errors speak the language of the settings; the help stays English."""
    assert sqlite
    monkeypatch.setenv("API_PORT", "1")
    monkeypatch.setenv("DEFAULT_LANGUAGE", "ru")
    assert re.search("[а-я]{3}", call(*words).output)


# The health check


@pytest.mark.parametrize("tls", ["true", "false"])
def test_a_health_check_of_nothing_ends_with_69(
    sqlite: str, free_tcp_port: int, monkeypatch: pytest.MonkeyPatch, tls: str
) -> None:
    """Nobody listens: not ready and not broken, but absent."""
    monkeypatch.setenv("API_PORT", str(free_tcp_port))
    monkeypatch.setenv("SSL_ENABLED", tls)
    result = call("healthcheck")
    assert (result.exit_code, result.stdout) == (69, "")
    assert f"no answer from 127.0.0.1:{free_tcp_port}" in result.stderr


# The command itself


def test_the_installed_command_speaks(sqlite_url: str, tmp_path: Path) -> None:
    """As a process of its own: the version, and a list from a database."""
    program = str(Path(sys.executable).parent / "aisha-webhook")
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": sqlite_url}  # noqa: TID251  for the child
    version = subprocess.run([program, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert version.stdout == f"aisha-webhook {__version__}\n"
    listed = subprocess.run(
        [program, "deliveries", "list", "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (json.loads(listed.stdout), listed.stderr) == ([], "")


def test_without_words_it_shows_its_commands() -> None:
    """Every command by name, each with a help text of its own."""
    shown = call("--help").stdout
    for name in command.MODULES:
        assert name in shown
        assert call(name, "--help").exit_code == 0
