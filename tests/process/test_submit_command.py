"""`trainings submit` as its user types it: photos from a folder to fal's storage, one job, the row of the avatar."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.db.engine import Database, open_database
from app.twins.fal import FalTwin
from tests.docs.project import ROOT
from tests.factories import Bot

pytestmark = pytest.mark.anyio

KEY = "key-id:key-secret"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(64)


@dataclass
class Shell:
    """A folder with photos, a database with one avatar, and a twin of fal."""

    folder: Path
    database: Database
    url: str
    fal: FalTwin
    fal_url: str
    avatar: str

    async def run(self, *words: str) -> tuple[int, str, str]:
        environment = {
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": self.url,
            "FAL_API_KEY": KEY,
            "FAL_QUEUE_URL": self.fal_url,
            "FAL_API_URL": self.fal_url,
            "FAL_STORAGE_URL": self.fal_url,
            "DEFAULT_LANGUAGE": "en",
        }
        command: Sequence[str] = (sys.executable, "-m", "app.cli", "trainings", *words)
        process = await asyncio.create_subprocess_exec(
            *command, cwd=self.folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        said, wrong = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode(), wrong.decode()


@pytest.fixture
async def shell(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Shell]:
    database = open_database(sqlite_url)
    fal = FalTwin(api_key=KEY)
    (tmp_path / "photos").mkdir()
    for number in range(5):
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(JPEG)
    async with fal.serve() as fal_url:
        avatar = await Bot(database).train("", status="ready_for_training")
        yield Shell(tmp_path, database, sqlite_url, fal, fal_url, avatar)
    await database.close()


async def test_photos_of_a_folder_become_one_training(shell: Shell) -> None:
    """The photos are stored, fal is asked once, the row carries its id; the same command again sends nothing."""
    words = ("submit", "--avatar", shell.avatar, "--photos", "photos", "--json")
    code, said, wrong = await shell.run(*words)
    assert (code, wrong.splitlines()[0]) == (0, "5 photos: 10 or more give a better avatar")
    assert "submission.price_unknown" in wrong  # a warning of the log, beside the answer and not in it
    told = json.loads(said)
    [stored] = shell.fal.files.values()
    [taken] = shell.fal.submissions
    assert stored
    assert taken.arguments["images_data_url"].startswith("https://v3.fal.media/stored/")
    row = await Bot(shell.database).avatar(shell.avatar)
    assert (row["fal_request_id"], row["status"]) == (told["request_id"], "training")
    code, said, _ = await shell.run(*words)
    assert (code, json.loads(said)["request_id"]) == (0, told["request_id"])
    assert len(shell.fal.submissions) == 1
    code, said, _ = await shell.run("show", told["request_id"], "--json")
    assert (code, json.loads(said)["avatar_id"]) == (0, shell.avatar)


async def test_a_folder_that_holds_no_photos_is_refused_in_a_sentence(shell: Shell) -> None:
    """Nothing is stored, nothing is asked, and the sentence says what is wanted."""
    (shell.folder / "empty").mkdir()
    code, said, wrong = await shell.run("submit", "--avatar", shell.avatar, "--photos", "empty")
    assert (code != 0, said) == (True, "")
    assert "0 photos" in wrong
    assert "Traceback" not in wrong
    assert (shell.fal.files, shell.fal.submissions) == ({}, [])


async def test_an_avatar_that_is_not_there_is_said(shell: Shell) -> None:
    """Photos are stored at fal before the row is looked at; no job is begun."""
    code, _, wrong = await shell.run("submit", "--avatar", "nobody", "--photos", "photos")
    assert code != 0
    assert "no avatar" in wrong
    assert shell.fal.submissions == []
