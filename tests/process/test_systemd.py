"""The server as systemd sees it: what it says, what it takes over, what it does without."""

import asyncio
import os
import selectors
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import httpx2
import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from app.core import setting_sources
from app.core.setting_loader import load_settings
from app.domain.errors import SettingsInvalid
from app.routers.fal_webhook import PATH
from app.server.lifespan import HOOKS, Hooks
from app.server.listener import Listener
from app.server.systemd import Supervisor, until
from app.twins import bodies
from app.twins.sender import FalSender
from app.twins.signing import ACCOUNT
from tests.process.conftest import READY_WITHIN, TOKEN, Outside, StartServer
from tests.process.listening import running, wait_until
from tests.process.test_takeover import start

pytestmark = pytest.mark.anyio

PING = "WATCHDOG=1"
SOON = 30  # s, on a machine that is busy with other things


class Ear:
    """What a supervisor hears."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """Everything told by now, in order."""
        told = []
        while True:
            try:
                told.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return told

    async def wait_for(self, line: str) -> list[str]:
        """Listen until something told begins with `line`; return what was told up to then."""
        told: list[str] = []
        async with asyncio.timeout(SOON):
            while not any(words.startswith(line) for words in told):
                told.append((await asyncio.get_running_loop().sock_recv(self._socket, 4096)).decode())
        return told

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ear]:
    """In a folder, and without one: systemd uses both."""
    listening = Ear(str(tmp_path / "notify") if request.param == "path" else f"@aisha-test-{tmp_path}")
    yield listening
    listening.close()


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    listening = Ear(str(tmp_path / "notify"))
    yield listening
    listening.close()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, Supervisor(), id="nobody"),
        pytest.param({"NOTIFY_SOCKET": "/run/systemd/notify"}, Supervisor("/run/systemd/notify"), id="path"),
        pytest.param({"NOTIFY_SOCKET": "@notify"}, Supervisor("@notify"), id="abstract"),
        pytest.param({"NOTIFY_SOCKET": "vsock:2:1234"}, Supervisor(), id="of a virtual machine"),
        pytest.param({"NOTIFY_SOCKET": "@"}, Supervisor(), id="no name"),
        pytest.param({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "60000000"}, Supervisor("/n", 60), id="watched"),
        pytest.param(
            {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "500000", "WATCHDOG_PID": "7"}, Supervisor("/n", 0.5), id="by pid"
        ),
        pytest.param(
            {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"}, Supervisor("/n"), id="another pid"
        ),
        pytest.param({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "0"}, Supervisor("/n"), id="no patience"),
        pytest.param({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "soon"}, Supervisor("/n"), id="no number"),
        pytest.param({"WATCHDOG_USEC": "60000000"}, Supervisor(), id="watched by nobody"),
    ],
)
def test_the_environment_says_who_listens(environment: Mapping[str, str], expected: Supervisor) -> None:
    """Address and patience are read as sd_notify(3) and sd_watchdog_enabled(3) have them."""
    assert Supervisor.of(environment, pid=7) == expected


def test_each_word_is_a_datagram_of_its_own(either: Ear) -> None:
    """Ready, reloading, reloaded, stopping: in systemd's words and in that order."""
    supervisor = Supervisor(either.address)
    supervisor.ready("receiving on https://127.0.0.1:8443")
    supervisor.reloading()
    supervisor.reloaded()
    supervisor.stopping()
    ready, reloading, reloaded, stopping = either.heard()
    assert ready == "READY=1\nSTATUS=receiving on https://127.0.0.1:8443"
    word, _, clock = reloading.partition("\nMONOTONIC_USEC=")
    assert (word, clock.isdecimal()) == ("RELOADING=1", True)
    assert reloaded == "READY=1"
    assert stopping.splitlines()[0] == "STOPPING=1"


def test_a_deaf_supervisor_stops_nobody(tmp_path: Path) -> None:
    """Where nothing listens at the address any more, that is one line in the log."""
    with capture_logs() as events:
        Supervisor(str(tmp_path / "gone")).stopping()
    assert [(event["event"], event["told"]) for event in events] == [("server.supervisor_deaf", "STOPPING=1")]


class FakeTime(asyncio.SelectorEventLoop):
    """A loop whose clock stands still unless it waits, or a callback says that it took its time."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(FakeWait(self))

    def time(self) -> float:
        return self.now


class FakeWait(selectors.SelectSelector):
    """Lets the time pass in which there is nothing to do."""

    def __init__(self, loop: FakeTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.now += timeout or 0.0
        return super().select(0)


def times_of_signs(ear: Ear, seconds: float, disturb: Callable[[FakeTime], Awaitable[bool]]) -> list[float]:
    """Run the signs of life with a patience of 15 s; `disturb` decides what else happens and whether we are alive."""
    signs: list[float] = []

    async def live(loop: FakeTime) -> None:
        alive = True

        def is_alive() -> bool:
            if alive:
                signs.append(loop.time())
            return alive

        posted = asyncio.create_task(Supervisor(ear.address, 15.0).keep_posted(is_alive))
        alive = await disturb(loop)
        await asyncio.sleep(max(seconds - loop.time(), 0.0))
        posted.cancel()

    with asyncio.Runner(loop_factory=FakeTime) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, FakeTime)
        runner.run(live(loop))
    assert ear.heard() == [PING] * len(signs)
    return signs


def test_signs_of_life_come_three_times_in_the_patience(ear: Ear) -> None:
    """A patience of 15 s is answered every 5 s: one sign that comes late costs no life."""

    async def nothing(_loop: FakeTime) -> bool:
        return True

    assert times_of_signs(ear, 22, nothing) == [0, 5, 10, 15, 20]


def test_a_loop_that_hangs_gives_no_sign(ear: Ear) -> None:
    """While one callback takes 100 s nothing is sent, and what was left out is not made up for."""

    async def hang(loop: FakeTime) -> bool:
        await asyncio.sleep(6)
        loop.now += 100  # as a call that blocks does
        return True

    assert times_of_signs(ear, 112, hang) == [0, 5, 106, 111]


def test_a_stuck_worker_gives_no_sign(ear: Ear) -> None:
    """When the worker has stopped working, signs end though the loop turns, and the log says so once."""

    async def get_stuck(_loop: FakeTime) -> bool:
        await asyncio.sleep(6)
        return False

    with capture_logs() as events:
        assert times_of_signs(ear, 60, get_stuck) == [0, 5]
    assert [event["event"] for event in events] == ["server.watchdog_withheld"]


async def test_without_a_watchdog_there_are_no_signs(ear: Ear) -> None:
    """Whom nobody watches gives none."""
    await Supervisor(ear.address).keep_posted(lambda: True)
    assert ear.heard() == []


async def test_readiness_is_waited_for() -> None:
    """The first look that finds the application ready ends the wait."""
    answers = iter([False, False, True])
    waits: list[float] = []

    async def is_ready() -> bool:
        return next(answers)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    await until(is_ready, sleep)
    assert len(waits) == 2
    assert next(answers, None) is None


def test_the_application_decides_when_it_is_ready_and_whether_it_lives(
    ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    """READY waits for the `is_ready` that the application's lifespan yields, and signs of life for its `is_alive`."""
    monkeypatch.setenv("NOTIFY_SOCKET", ear.address)
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    answers = {"is_ready": False, "is_alive": False}
    asked: list[str] = []

    def say(what: str) -> bool:
        asked.append(what)
        return answers[what]

    async def is_ready() -> bool:
        return say("is_ready")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        scope["state"][HOOKS] = Hooks(is_ready=is_ready, is_alive=lambda: say("is_alive"))
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    with running(Listener("127.0.0.1", 0, None), app):
        wait_until(lambda: asked.count("is_ready") >= 2 and asked.count("is_alive") >= 2)
        assert ear.heard() == []
        answers["is_ready"] = True
        told: list[str] = []

        def is_told() -> bool:
            told.extend(ear.heard())
            return bool(told)

        wait_until(is_told)
        assert [words.splitlines()[0] for words in told] == ["READY=1"]
        answers["is_alive"] = True
        wait_until(lambda: PING in ear.heard())


def keep(path: Path, secret: str) -> None:
    """Write a credential, readable as systemd makes it."""
    path.write_text(secret)
    path.chmod(0o400)


@pytest.mark.parametrize("name", ["TELEGRAM_TOKEN", "TELEGRAM_BOT_TOKEN"])
def test_a_credential_is_a_secret_file(tmp_path: Path, name: str) -> None:
    """What LoadCredential= left in its folder is read without being named, and wins over `.env`."""
    keep(tmp_path / name, f"{TOKEN}\n")
    (tmp_path / ".env").write_text("TELEGRAM_TOKEN=1:of-the-env-file\n")
    settings = load_settings(tmp_path / ".env", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert settings.telegram_token is not None
    assert settings.telegram_token.get_secret_value() == TOKEN


def test_a_credential_that_is_not_there_is_looked_for_in_env(tmp_path: Path) -> None:
    """A secret without a credential comes from `.env`, as ever."""
    (tmp_path / ".env").write_text(f"TELEGRAM_TOKEN={TOKEN}\n")
    settings = load_settings(tmp_path / ".env", {"CREDENTIALS_DIRECTORY": str(tmp_path / "empty")})
    assert settings.telegram_token is not None
    assert settings.telegram_token.get_secret_value() == TOKEN


def test_what_root_types_reads_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where systemd passes nothing, the store counts as far as this account can see it: it is root's alone."""
    monkeypatch.setattr(setting_sources, "STORE", (str(tmp_path), "aisha-webhook."))
    keep(tmp_path / "aisha-webhook.TELEGRAM_TOKEN", f"{TOKEN}\n")
    (tmp_path / ".env").write_text("TELEGRAM_TOKEN=1:of-the-env-file\n")
    serving = {"CREDENTIALS_DIRECTORY": str(tmp_path / "empty")}
    told = [load_settings(tmp_path / ".env", environ).telegram_token for environ in ({}, serving)]
    assert [one and one.get_secret_value() for one in told] == [TOKEN, "1:of-the-env-file"]
    monkeypatch.setattr(setting_sources, "STORE", (str(tmp_path / "closed"), "aisha-webhook."))
    assert load_settings(None, {}).telegram_token is None


def test_a_credential_beside_a_variable_is_one_too_many(tmp_path: Path) -> None:
    """The same secret from two places of equal rank is refused, and the credential's path is not followed silently."""
    keep(tmp_path / "FAL_API_KEY", "key-id:key-secret")
    with pytest.raises(SettingsInvalid, match="FAL_API_KEY_FILE"):
        load_settings(None, {"CREDENTIALS_DIRECTORY": str(tmp_path), "FAL_API_KEY": "another:one"})


async def test_the_server_says_how_it_is(ear: Ear, start_server: StartServer, sqlite_url: str) -> None:
    """A real process: READY when it can be asked, signs of life, RELOADING and READY on SIGHUP, STOPPING on SIGTERM."""
    async with start_server(sqlite_url, NOTIFY_SOCKET=ear.address, WATCHDOG_USEC="400000") as server:
        told = await ear.wait_for("READY=1")
        assert told[-1] == f"READY=1\nSTATUS=receiving on {server.url}"
        async with httpx2.AsyncClient(verify=False) as client:
            assert (await client.get(f"{server.url}/readyz")).status_code == 200
        for _ in range(3):
            await ear.wait_for(PING)
        server.process.send_signal(signal.SIGHUP)
        assert (await ear.wait_for("RELOADING=1"))[-1].startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert set(await ear.wait_for("READY=1")) <= {PING, "READY=1"}
        server.process.send_signal(signal.SIGTERM)
        assert (await ear.wait_for("STOPPING=1"))[-1].startswith("STOPPING=1\n")
        assert await server.stop() == 0


async def test_a_restart_behind_a_held_socket_refuses_nobody(sqlite_url: str, outside: Outside, tmp_path: Path) -> None:
    """The server leaves, a new one comes, the socket stays: every delivery is answered at its first try (fault 51)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as held:
        held.bind(("127.0.0.1", 0))
        held.listen(128)
        target = f"https://127.0.0.1:{held.getsockname()[1]}{PATH}"
        environment = outside.environment(sqlite_url)
        server = await start(tmp_path, environment, held)
        statuses: list[int | None] = []
        leave = asyncio.Event()

        async def load(number: int) -> None:
            while not leave.is_set():
                job = bodies.job_id(number * 10_000 + len(statuses))
                # Who connects between the two waits for the next one as long as that takes.
                async with FalSender(
                    target, outside.fal.key, user_id=ACCOUNT, verify_tls=False, first_timeout=READY_WITHIN
                ) as fal:
                    statuses.append((await fal.post(job, bodies.success(job))).status)

        clients = [asyncio.create_task(load(number)) for number in range(4)]
        try:
            async with asyncio.timeout(SOON):
                while len(statuses) < 8:
                    await asyncio.wait(clients, timeout=0.05)
            server.terminate()
            assert await asyncio.wait_for(server.wait(), 15) == 0
            between = len(statuses)
            server = await start(tmp_path, environment, held)
            async with asyncio.timeout(SOON):
                while len(statuses) < between + 20:
                    await asyncio.wait(clients, timeout=0.05)
        finally:
            leave.set()
            await asyncio.gather(*clients)
            if server.returncode is None:
                server.terminate()
                await server.wait()
        assert set(statuses) == {200}


DENY = """
import ctypes, mmap, os, sys
if ctypes.CDLL(None, use_errno=True).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, refuse what gains execution
    sys.exit(77)
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


async def test_no_memory_is_both_written_and_run(ear: Ear, outside: Outside, sqlite_url: str, tmp_path: Path) -> None:
    """Where the kernel refuses such memory, as MemoryDenyWriteExecute= does, a signed delivery over TLS is stored."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        DENY,
        "-m",
        "app.main",
        cwd=tmp_path,
        env={
            "PATH": os.defpath,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "NOTIFY_SOCKET": ear.address,
            **outside.environment(sqlite_url),
        },
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    ended = asyncio.create_task(process.wait())
    ready = asyncio.create_task(ear.wait_for("READY=1"))
    await asyncio.wait({ended, ready}, return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        ready.cancel()
        assert ended.result() == 77
        pytest.skip("this kernel cannot refuse it (Linux 6.3 and newer can)")
    try:
        target = ready.result()[-1].partition("receiving on ")[2] + PATH
        async with FalSender(target, outside.fal.key, user_id=ACCOUNT, verify_tls=False) as fal:
            job = bodies.job_id(1)
            assert (await fal.post(job, bodies.success(job))).status == 200
    finally:
        process.terminate()
        assert await ended == 0
