"""The pages behind the shipped nginx, in front of two replicas on one PostgreSQL."""

import asyncio
import json
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.dashboard.conftest import TOKEN
from tests.e2e.nginx import NAME, Front, needs_nginx, replicated
from tests.faults.rig import Rig

pytestmark = [pytest.mark.anyio, needs_nginx]
LOOKS = 6


async def ask(front: Front, method: str, path: str, cookie: str = "", **form: str) -> tuple[int, dict[str, str]]:
    """Ask through nginx on a connection of its own; return status and headers."""
    body = urlencode(form)
    lines = {
        "Host": NAME,
        "Accept": "text/html",
        "Cookie": cookie,
        "Sec-Fetch-Site": "same-origin",
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    raw = await asyncio.to_thread(front.ask, f"{method} {path} HTTP/1.1\r\n{head}\r\n{body}".encode())
    first, *rest = raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return int(first.split()[1]), {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}


def answered(front: Front, path: str) -> set[str]:
    """Name the replicas that answered requests for a path."""
    entries = [json.loads(line) for line in front.log.read_text(encoding="utf-8").splitlines()]
    return {entry["upstream"] for entry in entries if entry["path"] == path}


async def test_a_session_lives_and_dies_on_both_replicas(postgres_rig: Rig, tmp_path: Path) -> None:
    """What one replica lets in the other knows, over a restart, too; a logout at either ends it at both."""
    async with replicated(postgres_rig, tmp_path, DASHBOARD_TOKEN=TOKEN) as front:
        status, headers = await ask(front, "POST", "/dashboard/login", token=TOKEN, name="Aizhan")
        assert (status, headers["location"]) == (303, "/dashboard")
        cookie = headers["set-cookie"].partition(";")[0]
        for _ in range(LOOKS):
            assert (await ask(front, "GET", "/dashboard/jobs", cookie))[0] == 200
        assert len(answered(front, "/dashboard/jobs")) == 2

        await front.replicas[0].server.stop()
        await front.replicas[0].start()
        for _ in range(LOOKS):
            assert (await ask(front, "GET", "/dashboard/errors", cookie))[0] == 200
        assert len(answered(front, "/dashboard/errors")) == 2

        assert (await ask(front, "POST", "/dashboard/logout", cookie))[0] == 303
        for _ in range(LOOKS):
            status, headers = await ask(front, "GET", "/dashboard/charts", cookie)
            assert (status, headers["location"]) == (303, "/dashboard/login")
        assert len(answered(front, "/dashboard/charts")) == 2
