"""A running server tells the operator what is wrong with its certificate, and when it is over."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

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
        assert "<code>aisha-webhook doctor tls</code>" in alert.text
        await asyncio.sleep(2)  # time in which a second message would come
        shutil.copy(right, certificate)
        *_, over = await outside.telegram.heard(2, within=HEARD_WITHIN)
        assert over.shown.startswith("✅ Resolved: A new certificate was refused")
        await asyncio.sleep(2)
        assert len(outside.telegram.messages) == 2
        assert server.log("api_server.log").count('"event":"alert.opened"') == 1
        assert server.log("api_server.log").count('"event":"alert.resolved"') == 1
