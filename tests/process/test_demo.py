"""`aisha-webhook demo`, run as a user runs it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from app.catalog import translate
from app.cli.demo import command
from app.cli.demo.command import ALL_SECONDS, Printer
from app.cli.demo.scenes import SCENES
from app.cli.main import app as cli
from app.db.engine import open_database
from app.telegram.catalogs import Catalogs
from tests.docs.cast import strayed

ROOT = Path(__file__).parents[2]
PATIENCE = 120  # s; a machine that runs other tests beside this one is slow
UNHURRIED = """
from app.cli.demo import command, stage
command.PLAY_SECONDS, command.ALL_SECONDS, stage.WAIT_SECONDS = 100, 110, 60
"""
HURRIED = """
from app.cli.demo import command
command.PLAY_SECONDS = 0
"""
STEPS = (
    *("portrait", "failure", "duplicate", "late", "fetched", "lost"),
    *("drift", "absent", "style", "forged", "telegram", "closing"),
)
EVERY_ID = """
SELECT request_id FROM webhook_deliveries UNION SELECT fal_request_id FROM webhook_deliveries
UNION SELECT request_id FROM webhook_jobs UNION SELECT fal_request_id FROM avatars
"""
RUN = "from app.cli.main import main; main()"
LYING = """
from app.cli.demo import command, stage
from app.cli.demo.scenes import DemoAct, Scene
evil = "evil \\x1b[2J"
acts = [DemoAct(evil, {"name": "Айша", "messages": 1})]
command.SCENES = (Scene("portrait", "", "", acts), command.SCENES[-1])
stage.WAIT_SECONDS = 1
"""
NO_SERVER = """
from app.cli.demo import stage
stage.DOMAIN = "no domain"
"""


def environment(scratch: Path) -> dict[str, str]:
    """This process's environment with settings that would break any server that read them."""
    broken = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "API_PORT": "http", "FAL_USER_ID": "somebody"}
    return {**os.environ, **broken, "TMPDIR": str(scratch), "PYTHONPATH": str(ROOT)}  # noqa: TID251  passed on


def run(folder: Path, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    (folder / ".env").write_text("SSL_ENABLED=perhaps\n")
    scratch = folder / "scratch"
    scratch.mkdir()
    return subprocess.run(
        [sys.executable, "-c", before + RUN, "demo", *arguments],
        cwd=folder,
        env=environment(scratch),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_the_whole_way_is_as_it_should_be(tmp_path: Path) -> None:
    """The demo ends with 0, names every step in its summary, and leaves nothing behind nor reads the user's .env."""
    done = run(tmp_path, before=UNHURRIED)
    summary = done.stdout[done.stdout.rindex("HTTP") :]
    assert (done.returncode, done.stderr) == (0, "")
    assert tuple(scene.name for scene in SCENES) == STEPS
    for scene in SCENES:
        assert translate(scene.title, "ru") in summary
    assert "✗" not in done.stdout
    assert f"│ {Catalogs('ru').of('ru').gettext('ready.title').format(label='«Айша»')}" in done.stdout
    assert strayed("README.ru.md", done.stdout) == []
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """Play the demo as a machine reads it, and keep what it made."""
    return run(tmp_path_factory.mktemp("played"), "--json", "--language", "en", "--keep", before=UNHURRIED)


def test_a_machine_reads_the_same_as_one_document(played: subprocess.CompletedProcess[str]) -> None:
    """--json prints one document with every answer, row and message; --keep leaves the logs where it says."""
    done, told = played, json.loads(played.stdout)
    steps = {step["name"]: step for step in told["steps"]}
    assert [check for step in told["steps"] for check in step["checks"] if not check["holds"]] == []
    assert (done.returncode, told["right"], tuple(steps)) == (0, True, STEPS)
    assert told["seconds"] > 0
    assert [event["answer"].get("code") for event in steps["forged"]["events"] if "answer" in event] == [
        "signature_invalid",
        "signature_invalid",
        "timestamp_outside_window",
        "account_foreign",
        None,
        "signature_missing",
    ]
    assert seen(steps["forged"])["deliveries"][0]["reason"] == "id_mismatch"
    assert seen(steps["failure"])["avatar"]["status"] == "error"
    assert seen(steps["portrait"])["messages"][0]["text"].startswith("✨ Your avatar")
    assert (Path(told["folder"]) / "logs" / "webhook.log").stat().st_size > 0


def test_every_request_of_the_demo_is_explained(
    played: subprocess.CompletedProcess[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`why` tells of each request id the story to its end, or whose turn it is and with which command."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{json.loads(played.stdout)['folder']}/data/aisha.db"
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("TELEGRAM_TOKEN", f"123456789:{'A' * 35}")
    database = open_database(url)
    with database.engine.connect() as connection:
        known = [one for one in connection.execute(text(EVERY_ID)).scalars() if one is not None]
    database.engine.dispose()
    stories = {
        request_id: json.loads(CliRunner().invoke(cli, ["why", request_id, "--json"]).stdout) for request_id in known
    }
    last: Counter[str] = Counter()
    for story in stories.values():
        assert len(story["story"]) >= 3
        assert (story["waits_for"] is None) != (story["end"] is None)
        assert story["end"] is not None or story["next_command"]
        last[(story["waits_for"] or story["end"])["code"]] += 1
    assert last == {"end.told.ready": 8, "end.told.failed": 1, "decide.mismatch": 1, "decide.owner_left": 1}


def seen(step: Mapping[str, Any]) -> Any:
    """What a step saw in the database last."""
    return [event for event in step["events"] if "avatar" in event][-1]


@pytest.mark.parametrize(
    ("words", "variable", "owners", "printed"),
    [
        ((), "", "ru", "ru"),
        ((), "KK", "kk", "ru"),
        ((), "en", "en", "en"),
        ((), "xx", "ru", "ru"),
        (("--language", "kk"), "en", "kk", "ru"),
        (("--language", "en"), "kk", "en", "en"),
    ],
)
def test_owners_read_the_language_that_was_asked_for(
    words: tuple[str, ...], variable: str, owners: str, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages come in Kazakh, too; what the demo tells of them is Russian then, as all that an operator reads."""
    seen = list[tuple[str, str]]()

    async def play(_folder: Path, owners: str, printer: Printer, _reports: object) -> None:
        seen.append((owners, printer.language))

    monkeypatch.setattr(command, "play", play)
    monkeypatch.setenv("DEFAULT_LANGUAGE", variable)
    CliRunner().invoke(cli, ["demo", *words])
    assert seen == [(owners, printed)]


def test_what_is_not_as_it_should_be_is_told(tmp_path: Path) -> None:
    """A step that fails makes the exit code 1 and is named with what was seen, escaped; the server's log follows."""
    done = run(tmp_path, "--language", "en", before=LYING)
    assert done.returncode == 1
    assert r"name: should be Айша, but is evil \x1b[2J" in done.stdout
    assert "keys.refreshed" in done.stdout
    assert "\x1b[2J" not in done.stdout


def test_a_server_that_does_not_start_is_told(tmp_path: Path) -> None:
    """When the server refuses to start, the demo says with which code and in which words, and ends with 1."""
    done = run(tmp_path, "--language", "en", before=NO_SERVER)
    assert done.returncode == 1
    assert "exit code 78" in done.stdout
    assert "API_DOMAIN" in done.stdout
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_demo_that_takes_too_long_ends_itself(tmp_path: Path) -> None:
    """It is over in less than 30 s: what is not played by then is not right, and its server is gone with its folder."""
    assert ALL_SECONDS < 30
    done = run(tmp_path, "--language", "en", before=HURRIED)
    assert done.returncode == 1
    assert "did not end within 0 s" in done.stdout
    assert "Not as it should be: 12 of 12." in done.stdout
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_demo_that_is_stopped_takes_its_server_along(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """SIGTERM and Ctrl+C in the middle leave neither the server nor the scratch folder behind."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "demo", "--language", "en"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as playing:
        assert playing.stdout is not None
        for line in playing.stdout:
            if found := re.search(r"https://127\.0\.0\.1:(\d+)", line):
                break
        assert found is not None
        (folder,) = tmp_path.iterdir()
        playing.send_signal(number)
        playing.communicate(timeout=PATIENCE)
    assert playing.returncode == code
    assert not folder.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(found[1])))
