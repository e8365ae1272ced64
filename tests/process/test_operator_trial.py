"""An operator who is new here meets six broken situations, and knows from the first page what to do in each."""

import html
import http.client
import os
import re
import shlex
import sqlite3
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urljoin
from uuid import uuid4

import anyio.from_thread
import pytest

from app.catalog import translate
from app.domain.language import Language
from app.domain.refusal_words import sentence
from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.fal import FalTwin
from app.twins.sender import FalSender
from app.twins.signing import ACCOUNT
from app.twins.telegram import TelegramTwin
from tests import authorities, canaries
from tests.e2e.serving import Pair, Served, serving
from tests.factories import NEW_AVATAR
from tests.process.conftest import ROOT
from tests.process.test_alerts import HASTE

TOKEN = "an-operators-password-of-forty-characters"
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
BROKEN_WITHIN = 60  # s on a slow and busy machine
MOST_CLICKS = 3  # a page takes a new operator less than 20 s
ALERT = re.compile(r'<li id="alert-\d+">.*?</li>', re.DOTALL)
COMMAND = re.compile(r'<code id="[^"]+" class="command">(.*?)</code>')
TAG, SPACES = re.compile(r"<[^>]+>"), re.compile(r"\s+")
LINK = re.compile(r'<a (?:[^>]*? )?href="([^"]+)"[^>]*>(.*?)</a>', re.DOTALL)
OPEN = {
    "account_locked", "certificate_expiring", "certificate_refused", "deliveries_buried", "orphans_waiting",
    "poller_seen", "telegram_refused",
}  # fmt: skip


@dataclass(frozen=True)
class Situation:
    """What is wrong, and how an operator goes on from the first page.

    `alert` is the title there, (English, Russian); `clicks` are the links to follow, by a part of their address.
    `cause` is what the last page says, `command` what mends it or shows more, as it stands on one of these pages, and
    `proof` what that answers.
    """

    alert: tuple[str, str]
    clicks: tuple[str, ...]
    cause: tuple[str, str]
    command: str
    proof: str


SITUATIONS = {
    "dead": Situation(
        ("Deliveries were set aside", "Есть отложенные доставки"),
        ("deliveries?q=state:dead", "reason:ambiguous_training"),
        ("several avatars carry this request id", "этот request id записан сразу у нескольких аватаров"),
        "deliveries redrive --filter 'state:dead reason:ambiguous_training' --rehearse",
        "2 stay as they are (dead: ambiguous_training)",
    ),
    "orphan": Situation(
        ("Results of unknown trainings have arrived", "Пришли результаты неизвестных обучений"),
        ("deliveries?q=state:pending reason:orphan", "/dashboard/deliveries/"),
        ("the bot has not stored this id in avatars.fal_request_id yet", "бот ещё не записал этот номер"),
        "deliveries show",
        "r-orphan",
    ),
    "locked": Situation(
        ("The fal account is locked", "Аккаунт fal заблокирован"),
        ("jobs?q=reason:account_locked",),
        ("mostly its balance is used up", "обычно кончился баланс"),
        "doctor",
        "[fal_key.locked]",
    ),
    "drift": Situation(
        ("The bot polls fal itself", "Бот сам опрашивает fal"),
        ("history?kind=drifted",),
        ("How to switch off the bot's polling: docs/bot-database.md", "Как отключить опрос fal в боте"),
        "doctor",
        "[poller.drifted]",
    ),
    "certificate": Situation(
        ("The certificate will expire soon", "Сертификат скоро истечёт"),
        ("certificate",),
        ("has not been renewed by itself", "сам он не продлился"),
        "doctor tls",
        "[dates.",
    ),
    "refused": Situation(
        ("A new certificate was refused", "Новый сертификат не принят"),
        ("certificate",),
        ("The newer files were refused", "Новая пара файлов не принята"),
        "doctor tls",
        "the key is not that of the certificate",
    ),
    "telegram": Situation(
        ("Telegram refused the bot&#39;s token", "Telegram не принимал токен бота"),
        ("messages?q=state:pending reason:token_refused",),
        ("the right one is needed", "нужен верный"),
        ".env",
        "TELEGRAM_TOKEN=",
    ),
}


@dataclass
class Trial:
    """A server in trouble, and a browser that has logged in."""

    served: Served
    cookie: str = ""
    said: dict[str, str] = field(default_factory=dict)  # what each command answered
    earlier: dict[str, str] = field(default_factory=dict)  # the same, before the new certificate

    def request(self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None) -> Any:
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        with closing(http.client.HTTPSConnection("localhost", self.served.port, context=tls, timeout=20)) as there:
            there.request(method, path, body, {"Accept": "text/html", "Cookie": self.cookie, **(headers or {})})
            answer = there.getresponse()
            return answer, answer.read().decode()

    def login(self) -> None:
        answer, _ = self.request("POST", "/dashboard/login", urlencode({"token": TOKEN, "name": "newcomer"}), FORM)
        self.cookie = answer.getheader("Set-Cookie").partition(";")[0]

    def look(self, path: str, language: str) -> str:
        view = f"{self.cookie}; __Host-aisha-view={language}.auto.on"
        answer, text = self.request("GET", quote(path, safe="/?=&%:#+"), headers={"Cookie": view})
        assert answer.status == 200, (path, answer.status)
        return str(text)

    def commands_of(self, title: str) -> list[str]:
        """List the commands that stand beside an alert on the first page."""
        [alert] = [one for one in ALERT.findall(self.look("/dashboard", "en")) if title in one]
        return [html.unescape(command) for command in COMMAND.findall(alert)]

    def run(self, command: str) -> str:
        """Paste a command into a shell that stands somewhere else."""
        if command not in self.said:
            pasted = re.sub(r"sudo -u \S+ ", "", command)  # this account runs the server
            done = subprocess.run(
                ["sh", "-c", pasted],
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
                cwd="/",
                env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "EDITOR": "cat"},
                stdin=subprocess.DEVNULL,
            )
            self.said[command] = done.stdout + done.stderr
        return self.said[command]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Trial]:
    """All six at once: what is wrong elsewhere must not hide the way."""
    folder = tmp_path_factory.mktemp("trial")
    (folder / "server").mkdir()
    (folder / "haste").mkdir()
    (folder / "haste" / "sitecustomize.py").write_text(HASTE)
    file = folder / "server" / "aisha.db"
    file.write_bytes(sqlite_template.read_bytes())
    pair = _old_pair(folder)
    with outside() as (portal, fal, around):
        settings = {**around, **pair.settings(), "DATABASE_URL": f"sqlite:///{file}"}
        (folder / "server" / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        settings["PYTHONPATH"] = f"{folder / 'haste'}:{ROOT}"
        with serving(folder / "server", pair, **settings) as served:
            trial = Trial(served)
            trial.login()
            _break(portal, fal, served, file)
            _until(lambda: "certificate_expiring" in _alerts(file))
            trial.earlier = {
                command: trial.run(command) for command in trial.commands_of("The certificate will expire")
            }
            trial.said.clear()
            stranger = authorities.issue("aibots.kz", names=["aibots.kz"], since=_now() - timedelta(days=1))
            pair.cert.write_bytes(stranger.pem)
            _until(lambda: _alerts(file) >= OPEN)
            yield trial


@contextmanager
def outside() -> Iterator[tuple[Any, FalTwin, dict[str, str]]]:
    """A fal that has locked the account, and a Telegram that knows another token."""
    fal, telegram = FalTwin(), TelegramTwin(tokens={"another"})
    fal.locked = "Exhausted balance"
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(fal.serve()) as fal_url,
        portal.wrap_async_context_manager(telegram.serve()) as telegram_url,
    ):
        yield (
            portal,
            fal,
            {
                "DASHBOARD_TOKEN": TOKEN,
                "DEFAULT_LANGUAGE": "en",
                "TELEGRAM_TOKEN": canaries.TELEGRAM_TOKEN,
                "TELEGRAM_API_URL": telegram_url,
                "FAL_API_KEY": f"key-id:{canaries.FAL_SECRET}",
                "FAL_USER_ID": ACCOUNT,
                "FAL_JWKS_URLS": f"{fal_url}/.well-known/jwks.json",
                "FAL_QUEUE_URL": fal_url,
                "FAL_API_URL": fal_url,
                "FAL_STORAGE_URL": fal_url,
                "RECONCILE_AFTER": "1",
                "RECONCILE_EVERY": "1",
                "ARTIFACT_CHECK": "off",
            },
        )


def _break(portal: Any, fal: FalTwin, served: Served, file: Path) -> None:
    """Do what fal, the bot and its poller do."""
    names = ["r-drift", "r-locked", "r-twice-1", "r-twice-1", "r-twice-2", "r-twice-2"]
    owners = [(str(uuid4()), str(5000 + number)) for number in range(len(names))]
    with closing(sqlite3.connect(file, timeout=30)) as connection, connection:
        connection.executemany("INSERT INTO users (id, telegram_id) VALUES (?, ?)", owners)
        rows = [
            (str(uuid4()), owner, "Айша", "portrait", "training", name)
            for (owner, _), name in zip(owners, names, strict=True)
        ]
        connection.executemany(NEW_AVATAR, rows)
    fal.train("r-locked", "fal-ai/flux-lora-portrait-trainer")

    async def deliver() -> None:
        async with FalSender(f"https://127.0.0.1:{served.port}{PATH}", fal.key, verify_tls=False) as sender:
            found = [(name, bodies.success(name)) for name in ("r-drift", "r-twice-1", "r-twice-2", "r-orphan")]
            await sender.deliver_all(found)

    portal.call(deliver)
    _until(lambda: _rows(file, "SELECT 1 FROM avatars WHERE fal_request_id = 'r-drift' AND status = 'completed'"))
    _until(lambda: _rows(file, "SELECT 1 FROM webhook_deliveries WHERE reason = 'orphan'"))
    with closing(sqlite3.connect(file, timeout=30)) as connection, connection:
        spoilt = "status = 'training', diffusers_lora_file_url = NULL, config_file_url = NULL"
        connection.execute(f"UPDATE avatars SET {spoilt} WHERE fal_request_id = 'r-drift'")
        earlier = f"{_now() - timedelta(minutes=20):%Y-%m-%d %H:%M:%S.%f}"
        connection.execute("UPDATE webhook_deliveries SET received_at = ? WHERE reason = 'orphan'", (earlier,))


def _old_pair(folder: Path) -> Pair:
    """Make a certificate of 90 days with ten of them left."""
    old = authorities.issue("aibots.kz", names=["aibots.kz", "localhost"], since=_now() - timedelta(days=80))
    pair = Pair(folder / "leaf.crt", folder / "leaf.key", folder / "root.pem")
    pair.cert.write_bytes(old.pem)
    pair.key.touch(0o600)
    pair.key.write_bytes(old.key_pem)
    return pair


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  the server's clock is the system's


def _rows(file: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(file, timeout=30)) as connection:
        return connection.execute(statement).fetchall()


def _alerts(file: Path) -> set[str]:
    return {name.partition("@")[0] for (name,) in _rows(file, "SELECT name FROM webhook_alerts")}


def _until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + BROKEN_WITHIN
    while not holds():
        assert time.monotonic() < end, "the server did not come into the situation"
        time.sleep(0.1)


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("name", SITUATIONS)
def test_a_newcomer_finds_cause_and_remedy(trial: Trial, name: str, language: str) -> None:
    """From the first page at most three links lead to the cause in words and to a command that can be pasted."""
    wanted, spoken = SITUATIONS[name], ("en", "ru").index(language)
    assert len(wanted.clicks) <= MOST_CLICKS
    page = trial.look("/dashboard", language)
    (alert,) = [one for one in ALERT.findall(page) if wanted.alert[spoken] in one]
    seen = [alert]
    for click in wanted.clicks:
        here = [unquote(html.unescape(link)) for link, _ in LINK.findall(seen[-1])]
        link = next((link for link in here if click in link and link != "/dashboard/deliveries/"), None)
        assert link is not None, (click, here)
        seen.append(trial.look(urljoin("/dashboard", link), language))
    assert wanted.cause[spoken] in html.unescape(seen[-1]), SPACES.sub(" ", TAG.sub(" ", seen[-1]))
    commands = [html.unescape(command) for text in seen for command in COMMAND.findall(text)]
    ours = [command for command in commands if command.endswith(wanted.command) or f"{wanted.command} " in command]
    assert ours, commands
    assert wanted.proof in (trial.earlier[ours[-1]] if name == "certificate" else trial.run(ours[-1]))


def test_the_first_page_says_that_somebody_is_needed(trial: Trial) -> None:
    """No command on the first page needs a folder to stand in, and each alert leads somewhere."""
    page = trial.look("/dashboard", "en")
    assert "You are needed" in page
    alerts = ALERT.findall(page)
    assert len(alerts) >= len(OPEN)
    for alert in alerts:
        (command,) = [html.unescape(one) for one in COMMAND.findall(alert)]
        assert shlex.split(command)[0] in ("cd", "sudo", "aisha-webhook")
        for link, _ in LINK.findall(alert):
            trial.look(urljoin("/dashboard", html.unescape(link).partition("#")[0]), "en")


@pytest.mark.parametrize("language", ["en", "ru"])
def test_what_was_refused_says_why(trial: Trial, language: Language) -> None:
    """A request that was not taken stands on the page of errors with its code and a sentence, without its body."""
    answer, _ = trial.request("POST", PATH, '{"request_id": "forged"}', {"Content-Type": "application/json"})
    assert answer.status == 401
    page = html.unescape(trial.look("/dashboard/errors", language))
    refused = page.partition('id="refused"')[2]
    assert "signature_missing" in refused
    assert translate(sentence("signature_missing"), language) in refused
    assert "forged" not in page


def test_the_doctor_is_asked_from_the_page(trial: Trial) -> None:
    """The examination speaks the reader's language, whatever the server's, and its commands can be pasted."""
    view = f"{trial.cookie}; __Host-aisha-view=ru.auto.on"
    answer, text = trial.request("POST", "/dashboard/doctor", headers={**FORM, "Cookie": view})
    assert answer.status == 200
    for code in ("fal_key.locked", "poller.drifted", "telegram.token_refused"):
        assert f"<code>{code}</code>" in text
    assert "баланс исчерпан" in text
    commands = [html.unescape(command) for command in COMMAND.findall(text)]
    assert [command for command in commands if command.startswith("aisha-webhook")] == []
