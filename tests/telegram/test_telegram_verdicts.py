"""Every answer of the Bot API, and of what stands between, with the verdict that each must get.

The cases stand in telegram_verdicts.json, one a line and sorted; tests/telegram_server.py plays what they describe.
`send`: as many sends as there are `outcomes`; `calls` are the requests that reached Telegram, with the wording of the
message that was their text (html, plain, or none for the question that comes before a send while Telegram is in doubt).
`get_me`: the doctor's question, with the `code` and the `text` of what it finds, and how many `calls` it took;
it judges as a send does.
A field that a case does not name is not compared.
"""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import pytest
import trustme
from structlog.testing import capture_logs

from app.doctor import telegram as identity
from app.doctor.examine import Look, examine
from app.domain.notification import Owner, OwnerMessage, Topic
from app.telegram.catalogs import Catalogs
from app.telegram.client import TelegramClient
from app.telegram.sender import TelegramMessenger
from app.telegram.wording import word
from tests.canaries import TELEGRAM_TOKEN, leaks
from tests.telegram_server import Case, Server, telegram

pytestmark = pytest.mark.anyio

CASES: dict[str, list[Case]] = json.loads(Path(__file__).with_name("telegram_verdicts.json").read_bytes())
CHAT = 2**52 - 1
NOTE = OwnerMessage("avatar-1", "Лето <1>", "request-1", Topic.READY, Owner("owner-1", CHAT, "ru"))
MESSAGE = word(NOTE, Catalogs("ru"))
WORDINGS = {MESSAGE.html: "html", MESSAGE.plain: "plain", "": "none"}
SHORT, LONG = 0.2, 10.0  # s for one read or write: where a case must run into it, and where it must not


class Play(Protocol):
    """Put a case's question; tell what became of it."""

    __name__: str

    async def __call__(self, case: Case, url: str, server: Server) -> Case: ...


@asynccontextmanager
async def messenger(url: str, seconds: float) -> AsyncIterator[TelegramMessenger]:
    """Build what sends: the one place that knows how."""
    async with TelegramClient(TELEGRAM_TOKEN, url, timeout=seconds) as client:
        yield TelegramMessenger(client, 2 * seconds)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def _surroundings(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust one authority and know no proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))


def patience(case: Case) -> float:
    hangs = case.get("network") == "full" or any(each.get("then") in {"hang", "drip"} for each in case["answers"])
    return SHORT if hangs else LONG


async def send(case: Case, url: str, server: Server) -> Case:
    async with messenger(url, patience(case)) as sender:
        outcomes = [await sender.send(CHAT, MESSAGE) for _ in case["outcomes"]]
    calls = [
        {"chat_id": int(form["chat_id"]), "parse_mode": form.get("parse_mode"), "text": WORDINGS[form.get("text", "")]}
        for form in server.asked
    ]
    return {"calls": calls, "outcomes": [{"class": type(each).__name__} | asdict(each) for each in outcomes]}


async def get_me(case: Case, url: str, server: Server) -> Case:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "SECONDS", patience(case))
        look = Look("telegram", lambda: identity.look_at_telegram(TELEGRAM_TOKEN, url, None, "en"), 2 * LONG)
        found = (await examine([look], "en"))[0]
    return {"calls": len(server.asked), "code": found.code, "text": found.text, "said": f"{found}"}


def named(expected: Any, actual: Any) -> Any:
    """Leave out of `actual` the fields that `expected` does not name."""
    match expected, actual:
        case dict(), dict():
            return {name: named(expected[name], value) for name, value in actual.items() if name in expected}
        case list(), list() if len(expected) == len(actual):
            return [named(*pair) for pair in zip(expected, actual, strict=True)]
    return actual


@pytest.mark.parametrize("play", [send, get_me])
async def test_every_answer_gets_its_verdict_and_the_token_is_never_said(
    play: Play, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    """Verdicts and requests are the table's; neither they nor the log at DEBUG hold the token (fault 42)."""
    caplog.set_level(logging.DEBUG)
    expected, actual = {}, {}
    # In one test, and one after another: a test each would take three times as long, and some cases measure time.
    for case in CASES[play.__name__]:
        with capture_logs() as logs, pytest.MonkeyPatch.context() as patch:
            async with telegram(case, authority, patch) as (url, server):
                verdict = await play(case, url, server)
        expected[case["name"]] = {name: value for name, value in case.items() if name in verdict}
        actual[case["name"]] = named(case, verdict)
        assert leaks(f"{verdict} {logs} {caplog.text}") == [], case["name"]
        caplog.clear()
    assert actual == expected


@pytest.mark.parametrize("kind", ["send", "get_me"])
def test_each_case_stands_once_and_in_order(kind: str) -> None:
    """A reader finds a case by its name."""
    names = [case["name"] for case in CASES[kind]]
    assert names == sorted(set(names))
