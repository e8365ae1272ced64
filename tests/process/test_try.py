"""`aisha-webhook try` against the real server, over TLS, with twins of fal and Telegram."""

import asyncio
import os
import shutil
import sys
from urllib.parse import urlsplit

import orjson
import pytest

from app.fal.own_key import FILE
from tests.process.conftest import ROOT, Outside, ServerProcess, StartServer

pytestmark = pytest.mark.anyio
CHAT = 7_000_001


async def call_try(server: ServerProcess, environment: dict[str, str], *words: str) -> tuple[int, str, str]:
    """Run the command in the server's folder; return its exit code, stdout and stderr."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}  # noqa: TID251  for the child
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "app.cli", "try", *words),
        cwd=server.folder,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment, "API_PORT": str(urlsplit(server.url).port)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        stdout, stderr = await process.communicate()
    return process.returncode or 0, stdout.decode(), stderr.decode()


async def test_the_operator_hears_of_a_try(start_server: StartServer, outside: Outside, sqlite_url: str) -> None:
    """Every step is taken on the running server, and one message reaches the operator's chat."""
    chat = {"OPERATOR_CHAT_ID": str(CHAT)}
    async with start_server(sqlite_url, **chat) as server:
        code, stdout, stderr = await call_try(server, {**outside.environment(sqlite_url), **chat}, "--json")
    told = orjson.loads(stdout)
    assert (code, stderr, told["ok"], told["next_command"]) == (0, "", True, None)
    assert [step["code"] for step in told["steps"]] == ["key", "answered", "stored", "applied", "sent"]
    assert [message.chat_id for message in outside.telegram.messages] == [CHAT]


async def test_a_newcomer_sees_the_message(start_server: StartServer, outside: Outside, sqlite_url: str) -> None:
    """Without a token and a chat the message is shown, and the next step is named."""
    async with start_server(sqlite_url, TELEGRAM_TOKEN="") as server:
        environment = {**outside.environment(sqlite_url), "TELEGRAM_TOKEN": ""}
        code, stdout, stderr = await call_try(server, environment)
    assert (code, stderr) == (0, "")
    assert "│ ✅ The test worked: the webhook server can reach you" in stdout
    assert stdout.rstrip().endswith(" setup")


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [("other_key", "other_key"), ("no_key", "no_key"), ("stopped", "no_server"), ("other_database", "other_database")],
)
async def test_the_first_step_that_fails_is_named(
    start_server: StartServer, outside: Outside, sqlite_url: str, trouble: str, expected: str
) -> None:
    """What is wrong is one sentence with a command, and the exit code is 1."""
    environment = outside.environment(sqlite_url)
    async with start_server(sqlite_url) as server:
        match trouble:
            case "other_key":
                (server.folder / "data" / FILE).write_text("00" * 32)
            case "no_key":
                (server.folder / "data" / FILE).unlink()
            case "stopped":
                await server.stop()
            case "other_database":
                file = sqlite_url.partition("///")[2]
                shutil.copy(file, f"{file}.other")
                environment["DATABASE_URL"] = f"{sqlite_url}.other"
        code, stdout, _ = await call_try(server, environment, "--json")
        told = orjson.loads(stdout)
        assert (code, told["ok"], told["steps"][-1]["code"]) == (1, False, expected)
        code, _, stderr = await call_try(server, environment)
    assert (code, len(stderr.splitlines())) == (1, 2)
    assert told["next_command"] in stderr.splitlines()[-1]
