"""Faults 45 and 52: six secrets in real processes at DEBUG while everything around misbehaves; none is told to anybody.

The canaries here are harder than those of the whole suite (`tests/canaries.py` says what stands for what): full of the
characters that URLs, JSON and reprs write differently.
"""

import asyncio
import base64
import http.client
import json
import os
import resource
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal

from app.db.tables import metadata
from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.fal_queue import FalJob
from app.twins.faults import Fault, Hang, Instead
from app.twins.sender import FalSender
from app.twins.signing import ACCOUNT
from app.twins.telegram_faults import BAD_GATEWAY, BAD_JSON, SERVER_ERROR, refusal
from tests import canaries
from tests.canaries import key_lines, leaks, leaks_below
from tests.faults.cluster import Cluster
from tests.faults.rig import FULL, Rig, full_only, job, tell, until
from tests.ports import free_port
from tests.process.conftest import READY_WITHIN, ROOT

pytestmark = pytest.mark.anyio

EXIT_CONFIG = 78
AT_ONCE = 2.0 if FULL else 6.0  # s of processor; a machine with other work to do counts them generously
TOKEN = "987654321:AAcanary-TELEGRAM_token-9f8e7d6c5b4a"
FAL_KEY = "canary-key-id:canary+fal/secret=%5e&x"
PASSWORD = "canary/db@pass:wo+rd%7 & 'quoted'"
SECRETS: Mapping[str, str] = {
    "bot token": TOKEN,
    "fal key": FAL_KEY,
    "database password": PASSWORD,
    "session key": canaries.SESSION_KEY,
    "dashboard token": canaries.DASHBOARD_TOKEN,
    "metrics token": canaries.METRICS_TOKEN,
}
PLANTED = {
    "TELEGRAM_TOKEN": TOKEN,
    "FAL_API_KEY": FAL_KEY,
    "FAL_WEBHOOK_SECRET": canaries.SESSION_KEY,
    "DASHBOARD_TOKEN": canaries.DASHBOARD_TOKEN,
    "METRICS_TOKEN": canaries.METRICS_TOKEN,
    "LOG_LEVEL": "DEBUG",
    "API_DEBUG": "true",
}
PAGES = (
    "/", "/health", "/api/v1/health", "/livez", "/readyz", "/api/v1/webhook/status", "/metrics", "/docs",
    "/openapi.json", "/dashboard", "/dashboard/", "/dashboard/login", "/dashboard/deliveries", "/dashboard/settings",
    "/.env", "/%2e%2e/.env", PATH,
)  # fmt: skip
ECHOES: tuple[Fault, ...] = (
    Instead(302, headers={"location": f"https://api.telegram.org/bot{TOKEN}/sendMessage"}),
    SERVER_ERROR,
    BAD_GATEWAY,
    BAD_JSON,
    Instead(404, f"<html>no /bot{TOKEN}/sendMessage here</html>".encode(), "text/html"),
    refusal(400, f"Bad Request: no such method /bot{TOKEN}/sendMessage"),
    refusal(400, f"Bad Request: no such method /bot{quote(TOKEN, safe='')}/sendMessage"),
    *([Hang()] if FULL else []),
    refusal(401, f"Unauthorized: {TOKEN}"),
)
RESULTS: tuple[Fault, ...] = (
    Instead(302, headers={"location": f"/elsewhere?key={quote(FAL_KEY)}"}),
    Instead(401, json.dumps({"detail": f"no such key: Key {FAL_KEY}"}).encode()),
    Instead(500, f"Authorization: Key {FAL_KEY}".encode(), "text/plain"),
    Instead(200, b'{"detail":'),
    *([Hang()] if FULL else []),
)


def url_of(cluster: Cluster, database: str, password: str = PASSWORD) -> str:
    return f"postgresql://canary:{quote(password, safe='')}@127.0.0.1:{cluster.port}/{database}"


@pytest.fixture
def canary_url(postgres_rig: Rig, cluster: Cluster) -> str:
    """A database whose password is a canary."""
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'canary'").fetchone() is None:
            make = SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}")
            connection.execute(make.format(Identifier("canary"), Literal(PASSWORD)))
    return url_of(cluster, postgres_rig.database_url.rpartition("/")[2])


def surroundings(rig: Rig, url: str, **changes: str) -> dict[str, str]:
    port = {"API_PORT": str(rig.port), "PATH": os.defpath, "PYTHONPATH": str(ROOT)}
    return {**rig.outside.environment(url), **port, **PLANTED, "DATABASE_URL": url, **changes}


def run(rig: Rig, environment: Mapping[str, str], *arguments: str) -> tuple[int, str, float]:
    """Run a command to its end; return its exit code, all it said, and the seconds of processor that it took."""
    rig.folder.mkdir(parents=True, exist_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=rig.folder,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return ended.returncode, ended.stdout.decode(errors="replace"), spent


@asynccontextmanager
async def serving(rig: Rig, environment: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """The real server over TLS; all it says is in `said.out`."""
    rig.folder.mkdir(parents=True, exist_ok=True)
    said = rig.folder / "said.out"
    with said.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "run_api_server.py"), cwd=rig.folder, env=environment, stdout=out, stderr=out
        )
    try:
        greeted = "on this machine"
        await until(lambda: greeted in said.read_text() or process.returncode is not None, READY_WITHIN)
        assert process.returncode is None, said.read_text()[-2000:]
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), 15)


async def ask(port: int, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    """Return the status, and headers and body as one text."""

    def exchange() -> tuple[int, bytes]:
        context = ssl._create_unverified_context()  # self-signed, and not what is tried here
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=15, context=context)
        try:
            connection.request(method, path, body, {"Host": "localhost", "Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, str(answer.getheaders()).encode() + answer.read()
        finally:
            connection.close()

    return await asyncio.to_thread(exchange)


async def pages(port: int) -> bytes:
    answers = [(await ask(port, page))[1] for page in PAGES]
    return b"\n".join([*answers, (await ask(port, PATH, "POST", b'{"test": true}'))[1]])


def kept(url: str) -> bytes:
    """Every column of every row of ours and of the bot's, as text."""
    with psycopg.connect(url) as connection:
        rows = [
            connection.execute(SQL("SELECT kept::text FROM {} kept").format(Identifier(table))).fetchall()
            for table in (*metadata.tables, "avatars", "users")
        ]
    return repr(rows).encode()


def passed_on(pid: int) -> bytes:
    """The command line of a process, and those and the environments of the processes it started."""
    process = Path(f"/proc/{pid}")
    said = (process / "cmdline").read_bytes()
    for task in (process / "task").iterdir():
        for child in (task / "children").read_text().split():
            said += Path(f"/proc/{child}/cmdline").read_bytes() + Path(f"/proc/{child}/environ").read_bytes()
    return said


async def misbehave(rig: Rig, fal: FalSender) -> None:
    """Let each delivery meet another failure of Telegram's or of fal's queue, and fal's keys fail as well."""
    told = [job(number) for number in range(len(ECHOES))]
    lost = [job(100 + number)[0] for number in range(len(RESULTS))]
    rig.train([request_id for request_id, _ in told])
    for number, fault in enumerate(ECHOES):
        rig.outside.telegram.fail(fault, chat_id=1000 + number)  # once: all sending rests while Telegram is silent
    rig.train(lost)
    for request_id, fault in zip(lost, RESULTS, strict=True):
        rig.outside.fal.jobs[request_id] = FalJob("COMPLETED", fault=fault)
        await fal.post(request_id, bodies.unserialised_success(request_id))
    for pair in told:
        await fal.post(*pair)
    for mode in ("down", "redirect"):
        rig.outside.fal.set_jwks(mode)
        rig.outside.fal.meta_fault = Instead(500, FAL_KEY.encode())
        await ask(rig.port, PATH, "POST", b'{"request_id": "r"}')
    rig.outside.fal.set_jwks("ok")
    calls = rig.outside.telegram.calls
    await until(lambda: {call.chat_id for call in calls} >= {1000 + number for number in range(len(ECHOES))}, 90)
    await until(lambda: {call.request_id for call in rig.outside.fal.calls} >= set(lost), 30)


async def test_a_server_among_misbehaving_neighbours_tells_no_secret(
    postgres_rig: Rig, cluster: Cluster, canary_url: str
) -> None:
    """Echoed tokens, redirects, refusals, a crashed database, a broken certificate: 0 hits anywhere (fault 45, I7)."""
    rig, seen, watch = postgres_rig, b"", canaries.Watch(SECRETS)
    watch.start()
    environment = surroundings(rig, canary_url)
    async with serving(rig, environment) as server:
        key = (rig.folder / "ssl/aibots.kz.key").read_text()
        secrets = {**SECRETS, **key_lines(key)}
        async with FalSender(
            f"https://127.0.0.1:{rig.port}{PATH}", rig.outside.fal.key, user_id=ACCOUNT, verify_tls=False
        ) as fal:
            await misbehave(rig, fal)
            seen += await pages(rig.port)
            await asyncio.to_thread(cluster.stop)
            away = await fal.post(*job(50))
            seen += await pages(rig.port) + passed_on(server.pid)
            await asyncio.to_thread(cluster.start)
        (rig.folder / "ssl/aibots_kz.crt").write_text(key)  # a key where a certificate belongs
        server.send_signal(signal.SIGHUP)
        await until(lambda: "certificate." in (rig.folder / "logs/api_server.log").read_text(), 15)
    assert away.status == 503
    seen += kept(canary_url) + (rig.folder / "said.out").read_bytes()
    found = [*leaks(seen, secrets), *leaks_below(rig.folder, secrets), *watch.stop()]
    tell("secrets", looked_at=len(seen), command_lines=watch.looks, planted=len(secrets), found=found)
    assert found == []


async def test_neighbours_that_are_gone_are_named_without_a_secret(postgres_rig: Rig, canary_url: str) -> None:
    """Nobody listens where Telegram and fal's queue should be: reasons kept and logged hold no secret (fault 45)."""
    rig, nobody = postgres_rig, f"http://127.0.0.1:{free_port()}"
    lost, told = job(0)[0], job(1)
    rig.train([lost, told[0]])
    gone = surroundings(rig, canary_url, TELEGRAM_API_URL=nobody, FAL_QUEUE_URL=nobody)
    async with serving(rig, gone):
        async with FalSender(
            f"https://127.0.0.1:{rig.port}{PATH}", rig.outside.fal.key, user_id=ACCOUNT, verify_tls=False
        ) as fal:
            await fal.post(lost, bodies.unserialised_success(lost))
            await fal.post(*told)
        for table in ("webhook_deliveries", "webhook_notifications"):
            await until(lambda table=table: bool(rig.count(table, "reason IS NOT NULL")), 30)  # type: ignore[misc]  # mypy cannot read a lambda's default
    assert leaks(kept(canary_url) + (rig.folder / "said.out").read_bytes(), SECRETS) == []
    assert leaks_below(rig.folder, SECRETS) == []


@dataclass(frozen=True, slots=True)
class Ill:
    """Commands on a machine where one thing is wrong; `key` is a file where a certificate and its key belong."""

    rig: Rig
    url: str
    key: Path

    def run(self, words: list[str], changes: Mapping[str, str]) -> tuple[int, str, float]:
        port = self.rig.outside.environment(self.url)["DATABASE_URL"].rpartition(":")[2].partition("/")[0]
        spelled = {
            "wrong password": self.url.replace("@127", "mistyped@127"),
            "nobody there": self.url.replace(f":{port}/", f":{free_port()}/"),
            "a key": str(self.key),
        }
        changed = {name: spelled.get(value, value) for name, value in changes.items()}
        environment = surroundings(self.rig, self.url, SSL_KEY_PATH=str(self.key), **changed)
        return run(self.rig, environment, *words)


@pytest.fixture
def ill(postgres_rig: Rig, canary_url: str) -> Ill:
    postgres_rig.folder.mkdir(parents=True)
    key = postgres_rig.folder / "ours.key"
    key.write_text(f"-----BEGIN PRIVATE KEY-----\n{base64.b64encode(b'canary-tls-key-body' * 4).decode()}\n")
    return Ill(postgres_rig, canary_url, key)


@pytest.mark.parametrize(
    ("words", "changes", "code"),
    [
        (["-m", "app.cli", "config", "show"], {}, 0),
        pytest.param(["-m", "app.cli", "config", "show", "--json"], {}, 0, marks=full_only),
        pytest.param(
            ["-m", "app.cli", "deliveries", "list", "--json"], {"DATABASE_URL": "wrong password"}, 69, marks=full_only
        ),
        pytest.param(["-m", "app.cli", "migrate"], {"DATABASE_URL": "nobody there"}, 69, marks=full_only),
        (["-m", "app.main"], {"DATABASE_URL": "wrong password"}, 75),
        (["-m", "app.main"], {"SSL_CERT_PATH": "a key"}, 78),
        pytest.param(
            ["-m", "app.main"], {"TELEGRAM_API_URL": f"http://127.0.0.1:1/?token={TOKEN}"}, 78, marks=full_only
        ),
        pytest.param(["-m", "app.cli", "deliveries", "list"], {"API_PORT": PASSWORD}, 78, marks=full_only),
    ],
    ids=lambda value: (
        " ".join(value) if isinstance(value, list) else ",".join(value) if isinstance(value, dict) else ""
    ),
)
async def test_commands_and_refused_starts_tell_no_secret(
    ill: Ill, words: list[str], changes: dict[str, str], code: int
) -> None:
    """What a command or a start that fails writes on either stream, and its log, hold no secret (fault 45)."""
    ended, said, _ = await asyncio.to_thread(ill.run, words, changes)
    assert (ended, "Traceback" in said) == (code, False), said
    assert said
    secrets = {**SECRETS, **key_lines(ill.key.read_text())}
    assert leaks(said, secrets) + leaks_below(ill.key.parent, secrets) == []


@pytest.mark.parametrize(
    ("start", "wrong", "told"),
    [
        ("run_api_server.py", {"API_PROT": "x"}, ("API_PROT", "typo", "API_PORT")),
        ("serve", {"FAL_KEY_FILE": "/nowhere/fal-key"}, ("FAL_KEY_FILE", "/nowhere/fal-key", "path")),
        pytest.param("serve", {"API_PROT": "x"}, ("API_PROT", "typo", "API_PORT"), marks=full_only),
        pytest.param(
            "run_api_server.py",
            {"DATABASE_URL": f"postgresql://u:{TOKEN}@h:port/d"},
            ("DATABASE_URL", "URL", "postgresql://"),
            marks=full_only,
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value if isinstance(value, str) else "",
)
async def test_a_bad_configuration_ends_a_real_start_at_once(
    sqlite_rig: Rig, start: str, wrong: dict[str, str], told: tuple[str, ...]
) -> None:
    """Exit 78 after less than 2 s of processor, naming key, line and fix and no value (fault 52)."""
    sqlite_rig.folder.mkdir(parents=True)
    (sqlite_rig.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in wrong.items()))
    environment = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "DEFAULT_LANGUAGE": "en", "TELEGRAM_TOKEN": TOKEN}
    words = [str(ROOT / start)] if start.endswith(".py") else ["-m", "app.cli", start]
    code, said, spent = await asyncio.to_thread(run, sqlite_rig, environment, *words)
    tell("bad configuration", start=start, wrong=",".join(wrong), seconds_of_processor=round(spent, 2))
    assert code == EXIT_CONFIG, said
    assert [part for part in (*told, ".env line 1") if part not in said] == []
    assert spent < AT_ONCE
    assert leaks(said, SECRETS) == []
    assert list(sqlite_rig.folder.iterdir()) == [sqlite_rig.folder / ".env"]


# The look itself


@pytest.mark.parametrize(
    "spell",
    [
        lambda secret: secret,
        lambda secret: quote(secret, safe=""),
        lambda secret: quote(secret, safe="").lower(),
        repr,
        lambda secret: json.dumps({"x": secret}),
        lambda secret: secret.encode().hex(),
        lambda secret: secret[::-1],
        lambda secret: base64.b64encode(f"bot:{secret}".encode()).decode(),
        lambda secret: base64.b64encode(f"k:{secret}@host".encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(f"{secret}, and more".encode()).decode(),
    ],
    ids=["plain", "percent", "percent, lower", "repr", "json", "hex", "reversed", "base64", "base64 +2", "base64 url"],
)
@pytest.mark.parametrize("name", SECRETS)
def test_a_planted_leak_is_found_however_it_is_spelled(name: str, spell: object, tmp_path: Path) -> None:
    """Each canary, in each form, in a file that is looked into; and only that one (the look of fault 45 can fail)."""
    assert callable(spell)
    folder = tmp_path / "apart"
    folder.mkdir()
    log = folder / "api_server.log.1"
    log.write_text(f'{{"event": "oops", "url": "{spell(SECRETS[name])}"}}\n')
    try:
        assert leaks_below(folder, SECRETS) == [f"{name} in {log}"]
    finally:
        log.unlink()


def test_a_secret_on_a_command_line_is_seen() -> None:
    """A process that was given a secret as an argument is found while it runs (the look of fault 45 can fail)."""
    argument = "not-so-secret-argument-4711"
    program = "import sys; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, argument]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the kernel shows its arguments a moment after it was started
        seen = {pid for pid, line in canaries.command_lines() if leaks(line, {"argument": argument})}
        process.communicate()
    assert seen == {process.pid}
