"""A running server tells the operator what is wrong with its certificate, and when it is over."""

import asyncio
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.process.conftest import ROOT, Outside, StartServer

pytestmark = pytest.mark.anyio

CHAT = 777
HEARD_WITHIN = 90  # s on a slow and busy machine
# Minutes become seconds; everything else is as it is at an operator's.
HASTE = """
from datetime import timedelta

import app.domain.alert
import app.flows.watch
import app.worker

app.worker.CHORES_EVERY = 0.5
app.flows.watch.EVERY = timedelta(seconds=0.4)
app.domain.alert.CALM = timedelta(seconds=2)
"""


def other_pair(folder: Path) -> Path:
    """Make another self-signed pair; return its certificate."""
    folder.mkdir()
    (folder / "ssl").mkdir()
    subprocess.run(
        [sys.executable, "-m", "app.cli", "cert", "self-signed"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    return folder / "ssl" / "aibots_kz.crt"


def read(url: str, statement: str) -> Any:
    """Read one value from the server's database."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return connection.execute(statement).fetchone()[0]


def owed(url: str) -> int:
    """Count the messages that were ever owed, sent ones included."""
    return int(read(url, "SELECT count(*) FROM webhook_notifications"))


async def looked_again(url: str) -> None:
    """Wait until the watch has ended three more looks, each of which could have owed another message."""
    async with asyncio.timeout(HEARD_WITHIN):
        for _ in range(3):
            before = last_look(url)
            while last_look(url) == before:  # noqa: ASYNC110  another process tells nobody
                await asyncio.sleep(0.02)


def last_look(url: str) -> str:
    return str(read(url, "SELECT finished_at FROM webhook_chores WHERE name = 'watch'"))


async def test_a_mismatched_pair_alarms_and_the_right_one_calms(
    sqlite_url: str, outside: Outside, start_server: StartServer, tmp_path: Path
) -> None:
    """A certificate without its key: one alert in the operator's chat; the right one: one "resolved" (fault 41)."""
    haste = tmp_path / "haste"
    haste.mkdir()
    (haste / "sitecustomize.py").write_text(HASTE)
    stranger = other_pair(tmp_path / "other")
    async with start_server(sqlite_url, OPERATOR_CHAT_ID=str(CHAT), PYTHONPATH=f"{haste}:{ROOT}") as server:
        certificate = server.folder / "ssl" / "aibots_kz.crt"
        right = tmp_path / "right.crt"
        shutil.copy(certificate, right)
        shutil.copy(stranger, certificate)
        (alert,) = await outside.telegram.heard(1, within=HEARD_WITHIN)
        assert alert.chat_id == CHAT
        assert alert.shown.startswith("🚨 A new certificate was refused")
        assert str(certificate.relative_to(server.folder)) in alert.shown
        assert re.search(r"<code>(cd .*/)?aisha-webhook doctor tls</code>", alert.text)
        await looked_again(sqlite_url)
        assert owed(sqlite_url) == 1
        shutil.copy(right, certificate)
        *_, over = await outside.telegram.heard(2, within=HEARD_WITHIN)
        assert over.shown.startswith("✅ Resolved: A new certificate was refused")
        await looked_again(sqlite_url)
        assert owed(sqlite_url) == len(outside.telegram.messages) == 2
        assert server.log("api_server.log").count('"event":"alert.opened"') == 1
        assert server.log("api_server.log").count('"event":"alert.resolved"') == 1
