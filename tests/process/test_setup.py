"""`aisha-webhook setup` as a process: with options, without a terminal, and again."""

import asyncio
import os
import stat
import sys
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest
from dotenv import dotenv_values

from tests import canaries
from tests.process.conftest import ROOT, Outside

pytestmark = pytest.mark.anyio
CHAT = 7_000_001


class Ended(NamedTuple):
    """How a run ended."""

    code: int
    stdout: str
    stderr: str


async def call(folder: Path, *words: str, **environment: str) -> Ended:
    """Run the command in `folder`, its stdin no terminal."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}  # noqa: TID251  for the child
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "app.cli", "setup", *words),
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        stdout, stderr = await process.communicate()
    return Ended(process.returncode or 0, stdout.decode(), stderr.decode())


def secret(folder: Path, name: str, value: str) -> str:
    (folder / name).write_text(f"{value}\n")
    return str(folder / name)


def places(outside: Outside) -> dict[str, str]:
    names = ("FAL_QUEUE_URL", "FAL_API_URL", "FAL_STORAGE_URL")
    return {"TELEGRAM_API_URL": outside.telegram_url, **dict.fromkeys(names, outside.fal_url)}


async def test_every_answer_is_checked_and_written(outside: Outside, tmp_path: Path) -> None:
    """Options answer, a test message reaches the chat, and .env is private; no secret is printed."""
    (tmp_path / ".env").write_text("# mine\nOTHER=1\n")
    ended = await call(
        tmp_path,
        *("--domain", "127.0.0.1", "--chat", str(CHAT), "--no-check"),
        **places(outside),
    )
    assert ended.code == 0
    ended = await call(
        tmp_path,
        *("--token-file", secret(tmp_path, "token", canaries.TELEGRAM_TOKEN), "--chat", str(CHAT), "--json"),
        *("--fal-key-file", secret(tmp_path, "key", f"key-id:{canaries.FAL_SECRET}")),
        **places(outside),
    )
    told = orjson.loads(ended.stdout)
    assert (ended.code, ended.stderr, told["changed"]) == (0, "", ["TELEGRAM_TOKEN", "OPERATOR_CHAT_ID", "FAL_API_KEY"])
    assert [message.chat_id for message in outside.telegram.messages] == [CHAT]
    file = tmp_path / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert dotenv_values(file) == {
        "OTHER": "1",
        "API_DOMAIN": "127.0.0.1",
        "OPERATOR_CHAT_ID": str(CHAT),
        "TELEGRAM_TOKEN": canaries.TELEGRAM_TOKEN,
        "FAL_API_KEY": f"key-id:{canaries.FAL_SECRET}",
    }
    assert file.read_text().startswith("# mine\n")
    for one in (canaries.TELEGRAM_TOKEN, canaries.FAL_SECRET):
        assert one not in ended.stdout + ended.stderr


async def test_without_a_terminal_the_options_are_named(tmp_path: Path) -> None:
    """Nobody can answer: exit 2, a sentence with every option, and no file."""
    ended = await call(tmp_path)
    assert (ended.code, ended.stdout, [entry.name for entry in os.scandir(tmp_path)]) == (2, "", [])
    assert "--domain --database-file --token-file --chat --fal-key-file --account" in ended.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--domain", "name.invalid"), 1),
        (("--domain", "two words"), 78),
        (("--chat", "mine"), 78),
        (("--database-file", "database"), 69),
        (("--token-file", "no-such-file"), 78),
    ],
)
async def test_what_does_not_fit_writes_nothing(tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    """A check that fails, a value that cannot be, a database that does not answer: the file stays as it was."""
    (tmp_path / ".env").write_text("OTHER=1\n")
    secret(tmp_path, "database", "postgresql://nobody:secret-word@127.0.0.1:9/none")
    ended = await call(tmp_path, *words)
    assert (ended.code, (tmp_path / ".env").read_text()) == (code, "OTHER=1\n")
    assert ended.stderr.strip()
    assert "Traceback" not in ended.stderr
    assert "secret-word" not in ended.stdout + ended.stderr


async def test_a_group_that_was_let_in_stays_in(tmp_path: Path) -> None:
    """The account of the service reads .env by its group: a second setup must not shut it out."""
    file = tmp_path / ".env"
    file.write_text("OTHER=1\n")
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another group")
    os.chown(file, 0, 12_345)
    file.chmod(0o644)
    ended = await call(tmp_path, "--account", "me", "--no-check")
    status = file.stat()
    assert (ended.code, stat.S_IMODE(status.st_mode), status.st_gid) == (0, 0o640, 12_345)
