"""Who is let in: shares of one address, the total, and what happens when descriptors run out."""

import contextlib
import json
import resource
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from app.domain.quotas import ConnectionQuota
from app.server import run
from app.server.lifespan import HOOKS, Hooks
from app.server.listener import NARROW, READ_AHEAD, USUAL_BODY, Listener, narrow, widen
from tests.process.listening import GET, Files, Running, answer, drain, echo, running, take, wait_until

CLOSING = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
ABUSER = "127.0.0.2"  # loopback, and not spared as 127.0.0.1 is
PLACES = 24  # the share of one address is then eight
ROOT = Path(__file__).parents[2]


@pytest.fixture(name="door")
def _door(tmp_path: Path) -> Iterator[Running]:
    files = Files(tmp_path)
    listener = Listener("127.0.0.1", 0, files.live(), client_timeout=1.5, max_connections=PLACES)
    with running(listener, client=files.client()) as server:
        yield server


def present(server: Running) -> int:
    return server.server._acceptor._quota.present


def ended_reports(server: Running) -> list[None]:
    """Return a list that grows by one with each report on refused connections from now on."""
    acceptor, ended = server.server._acceptor, list[None]()
    report = acceptor.report

    def counted() -> None:
        report()
        ended.append(None)

    acceptor.report = counted  # type: ignore[method-assign]  # each sweep looks it up anew
    return ended


def is_refused(connection: socket.socket) -> bool:
    """Tell whether the server has ended the connection; one that was taken stays silent."""
    connection.settimeout(0.3)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def test_an_abusive_address_leaves_room_for_deliveries(door: Running) -> None:
    """Silent connections of one address beyond its share are refused at once; others are answered (fault 31)."""
    with contextlib.ExitStack() as held:
        taken = 0
        for _ in range(3 * PLACES):
            with contextlib.suppress(ConnectionResetError):  # the refusal can be quicker than connect()
                connection = held.enter_context(door.reach(ABUSER))
                taken += not is_refused(connection) if taken >= 8 else 1
        assert (taken, present(door)) == (8, 8)
        for _ in range(5):
            assert answer(door.ask(CLOSING))[0] == 200


def test_beyond_the_total_nobody_is_let_in(door: Running) -> None:
    """A full house refuses before the handshake, tells the log once with the sum, and empties again (fault 31)."""
    with capture_logs() as lines:
        with contextlib.ExitStack() as held:
            for _ in range(PLACES):
                held.enter_context(door.reach())
            wait_until(lambda: present(door) == PLACES)
            for _ in range(10):
                with contextlib.suppress(ConnectionResetError), door.reach() as connection:
                    assert is_refused(connection)
            wait_until(lambda: [line for line in lines if line["event"] == "server.connections_refused"])
            with contextlib.suppress(ConnectionResetError), door.reach() as connection:
                assert is_refused(connection)
            ended = ended_reports(door)
            wait_until(lambda: len(ended) > 2)  # each of them could have told of the last refusal
        told = [line for line in lines if line["event"] == "server.connections_refused"]
        assert door.server._acceptor._refusals["connections_full"] >= 2
    assert [(line["latest"], line["full"] > 0) for line in told] == [("127.0.0.1", True)]
    wait_until(lambda: present(door) == 0)
    assert answer(door.ask(CLOSING))[0] == 200


def test_silent_strangers_leave_the_last_place_to_fal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every other place taken by silent peers of several addresses, fal's is answered (fault 31)."""
    fal, strangers = "127.0.0.3", ["127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.7"]
    monkeypatch.setattr(run, "ConnectionQuota", lambda most, spared, *_: ConnectionQuota(most, spared, fal.__eq__))
    files = Files(tmp_path)
    listener = Listener("127.0.0.1", 0, files.live(), max_connections=PLACES)
    with running(listener, client=files.client()) as server, contextlib.ExitStack() as held:
        for stranger in strangers * 8:
            with contextlib.suppress(ConnectionResetError):  # the refusal can be quicker than connect()
                held.enter_context(server.reach(stranger))
        wait_until(lambda: present(server) == PLACES - 1)
        with server.reach(fal) as plain, files.client().wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(GET)
            assert (take(connection)[0], present(server)) == (200, PLACES)


@pytest.mark.parametrize(
    ("limit", "patience", "is_narrow"),
    [
        (1024, 15, True),
        (USUAL_BODY, 15, True),
        (USUAL_BODY + 1, 15, False),
        (USUAL_BODY, 5, False),
        (USUAL_BODY // 4, 5, True),
    ],
)
def test_the_kernel_reads_ahead_a_little(limit: int, patience: float, *, is_narrow: bool) -> None:
    """What strangers send ahead of us is bounded, unless bodies are so large, or we so impatient, that fal needs it."""
    with socket.socket() as bound:
        before = bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        narrow(bound, Listener("127.0.0.1", 0, None, max_body_bytes=limit, client_timeout=patience))
        after = bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert after == (2 * NARROW if is_narrow else before)  # the kernel doubles what it is told


def says_nothing(door: Running) -> None:
    with door.reach() as connection:
        assert drain(connection) == b""


def leaves_at_once(door: Running) -> None:
    door.reach().close()


def leaves_in_the_handshake(door: Running) -> None:
    with door.reach() as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00")


def sends_no_tls(door: Running) -> None:
    with door.reach() as connection:
        connection.sendall(GET)
        drain(connection)


def trusts_nobody(door: Running) -> None:
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLError), door.reach() as connection:
        context.wrap_socket(connection, server_hostname="localhost")


def is_answered(door: Running) -> None:
    assert answer(door.ask(CLOSING))[0] == 200


def goes_silent_after_an_answer(door: Running) -> None:
    with door.connect() as connection:
        connection.sendall(GET)
        assert take(connection)[0] == 200
        connection.sendall(b"\r\n")
        drain(connection)


def resets(door: Running) -> None:
    with door.connect() as connection:
        connection.sendall(GET.replace(b"GET /", b"GET /big"))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


ENDINGS = (
    says_nothing,
    leaves_at_once,
    leaves_in_the_handshake,
    sends_no_tls,
    trusts_nobody,
    is_answered,
    goes_silent_after_an_answer,
    resets,
)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_end_of_a_connection_gives_its_place_back(door: Running, ending: Callable[[Running], None]) -> None:
    """However it ends: a place that is not given back would close the server in the course of a year."""
    for _ in range(2):
        ending(door)
    wait_until(lambda: present(door) == 0)


def test_an_answer_does_not_wait_for_the_previous_one_to_be_acknowledged(door: Running) -> None:
    """Small writes go out at once (TCP_NODELAY), as they do from a socket that uvloop has accepted itself."""
    with door.connect() as connection:
        connection.sendall(GET)
        assert take(connection)[0] == 200
        (inside,) = door.server.server_state.connections
        taken = socket.socket(fileno=inside.fd)  # type: ignore[union-attr]  # the only protocol configured is ours
        try:
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        finally:
            taken.detach()


# --- out of descriptors

PROGRAM = """
import sys
from app.core.logger import setup_logging
from app.server.listener import Listener
from app.server.run import serve
from pathlib import Path
from tests.process.listening import echo
setup_logging("INFO", Path(sys.argv[1]), "api.log", "webhook.log", language="en")
sys.exit(serve(echo, Listener("127.0.0.1", 0, None, client_timeout=30), lambda url: print("ready", url, flush=True)))
"""


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_a_lack_of_descriptors_is_outlived(tmp_path: Path) -> None:
    """With none left new connections wait; as soon as some are free they are answered, unaided (fault 13)."""
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        try:
            assert child.stdout is not None
            server = Running(None, int(child.stdout.readline().rpartition(":")[2]), None)  # type: ignore[arg-type]  # it is in the child
            assert answer(server.ask(CLOSING))[0] == 200
            resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (open_files(child.pid) + 4, 4096))
            with contextlib.ExitStack() as held:
                silent = [held.enter_context(server.reach()) for _ in range(12)]
                waiting = held.enter_context(server.reach())
                waiting.sendall(CLOSING)
                assert not is_refused(waiting)
                said = tmp_path / "api.log"
                wait_until(lambda: "server.connections_wait" in said.read_text())
                for connection in silent:
                    connection.close()
                waiting.settimeout(10)
                assert answer(drain(waiting))[0] == 200
            assert answer(server.ask(CLOSING))[0] == 200
            for line in said.read_text().splitlines():
                assert json.loads(line)["level"] != "critical"
        finally:
            child.kill()


def test_the_application_says_whom_it_expects(tmp_path: Path) -> None:
    """What the lifespan yields as `is_expected` decides who gets the last places (fault 31)."""
    fal = "127.0.0.3"

    async def expecting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            scope["state"][HOOKS] = Hooks(is_expected=fal.__eq__)
        await echo(scope, receive, send)

    files = Files(tmp_path)
    listener = Listener("127.0.0.1", 0, files.live(), max_connections=PLACES)
    with running(listener, expecting, files.client()) as server:
        assert [server.server._acceptor._quota._expects(host) for host in (fal, "127.0.0.4")] == [True, False]


def test_the_first_connections_of_an_address_may_be_further_ahead() -> None:
    """A connection that is widened takes more unread than one that is not, without a new handshake (fault 62)."""
    taken = []
    for is_wide in (False, True):
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            narrow(bound, Listener("127.0.0.1", 0, None))
            bound.listen()
            with socket.create_connection(bound.getsockname()) as client, bound.accept()[0] as connection:
                if is_wide:
                    widen(connection)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
                client.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    for _ in range(100):
                        client.sendall(b"x" * 1400)
                taken.append(len(connection.recv(1 << 20)))
    assert taken[0] <= 2 * NARROW < READ_AHEAD <= taken[1]
