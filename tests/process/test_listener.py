"""The real listener on a free loopback port: its certificate, its patience, its limits, its end."""

import asyncio
import contextlib
import itertools
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from app.domain.errors import CertificateBroken, DatabaseUnfit, StartRefused
from app.domain.quotas import LINES
from app.server import lifespan, run
from app.server.guard import MOST_WAITING
from app.server.lifespan import HOOKS, Hooks
from app.server.listener import Listener, bind
from app.server.run import serve
from app.server.systemd import Supervisor
from app.tls.certificates import facts_of, pkcs8
from tests.process.listening import GET, Files, Running, answer, drain, echo, running, take, wait_until

IMPATIENT = 0.6  # seconds
LEEWAY = 1.5  # seconds that a busy machine may add
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture(name="secure")
def _secure(files: Files) -> Iterator[Running]:
    with running(Listener("127.0.0.1", 0, files.live()), client=files.client()) as server:
        yield server


@pytest.fixture(name="plain", scope="module")
def _plain() -> Iterator[Running]:
    with running(Listener("127.0.0.1", 0, None)) as server:
        yield server


@pytest.fixture(name="impatient", scope="module", params=["http", "https"])
def _impatient(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    files = Files(tmp_path_factory.mktemp("ssl"))
    tls, client = (files.live(), files.client()) if request.param == "https" else (None, None)
    with running(Listener("127.0.0.1", 0, tls, client_timeout=IMPATIENT), client=client) as server:
        yield server


# --- the certificate


def test_a_client_that_knows_only_the_root_is_content(secure: Running) -> None:
    """The chain is served complete: a client that trusts only the root gets through, over TLS 1.3 (fault 39)."""
    status, seen = answer(secure.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
    assert status == 200
    assert seen["tls"] == {"version": "TLSv1.3"}


def test_a_client_without_a_server_name_gets_the_certificate(secure: Running, files: Files) -> None:
    """A client that sends no server name is served like any other (fault 39)."""
    context = files.client()
    context.check_hostname = False
    with (
        socket.create_connection(("127.0.0.1", secure.port), timeout=10) as plain,
        context.wrap_socket(plain) as connection,
    ):
        der = connection.getpeercert(binary_form=True)
        assert der is not None
        assert x509.load_der_x509_certificate(der).fingerprint(hashes.SHA256()) == files.fingerprint()


@pytest.mark.parametrize(
    ("ciphers", "accepted"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", True),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", True),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", True),
        ("ECDHE-ECDSA-AES128-SHA256", False),
        ("ECDHE-ECDSA-AES256-SHA", False),
        ("ECDHE-ECDSA-AES128-CCM", False),
    ],
)
def test_tls_1_2_takes_forward_secret_aead_suites_only(secure: Running, ciphers: str, *, accepted: bool) -> None:
    """Over TLS 1.2 only Mozilla's intermediate suites are spoken, without compression, with HTTP/1.1 by ALPN."""
    assert secure.client is not None
    secure.client.maximum_version = ssl.TLSVersion.TLSv1_2
    secure.client.set_ciphers(ciphers)
    secure.client.set_alpn_protocols(["h2", "http/1.1"])
    if accepted:
        with secure.connect() as connection:
            assert isinstance(connection, ssl.SSLSocket)
            assert connection.version() == "TLSv1.2"
            assert connection.selected_alpn_protocol() == "http/1.1"
            assert connection.compression() is None
    else:
        with pytest.raises(ssl.SSLError), secure.connect():
            pass


def test_a_reload_says_whether_the_files_are_served(files: Files) -> None:
    """A good pair is served and its facts are at hand; a bad one leaves the old and names its trouble (fault 41)."""
    live = files.live()
    assert facts_of(live.served.leaf, NOW).key_type == "EC P-256"
    files.issue(trustme.KeyType.RSA)
    assert live.reload(NOW)
    assert facts_of(live.served.leaf, NOW).key_type == "RSA 2048"
    files.key.unlink()
    assert not live.reload(NOW)
    assert live.trouble[0].startswith(f"{files.key}: ")
    assert facts_of(live.served.leaf, NOW).key_type == "RSA 2048"
    with pytest.raises(CertificateBroken):
        live.load()
    files.issue(trustme.KeyType.ECDSA)
    assert [live.refresh(NOW) for _ in range(3)] == [False, True, False]
    assert live.trouble == ()


def test_trouble_is_told_once_and_ends_with_its_cause(files: Files) -> None:
    """A bad pair is refused once, not at every look; the old files put back end the trouble (fault 41)."""
    live, good = files.live(), files.key.read_bytes()
    files.key.write_bytes(b"junk")
    with capture_logs() as lines:
        for _ in range(5):
            assert not live.refresh(NOW)
    assert [line["event"] for line in lines] == ["certificate.refused"]
    assert live.trouble
    files.key.write_bytes(good)
    assert not live.refresh(NOW)
    assert live.trouble == ()


def test_a_key_that_no_client_can_use_is_refused(files: Files) -> None:
    """A pair that loads, but suits no signature scheme of TLS, is refused before it is served (fault 39)."""
    key = ec.generate_private_key(ec.SECP256K1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    files.cert.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    files.key.write_bytes(pkcs8(key))
    with pytest.raises(CertificateBroken, match="OpenSSL"):
        files.live()


def test_a_look_that_breaks_does_not_end_the_watch(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a look at the files meets is logged once, and the next renewal is served all the same (fault 41)."""
    monkeypatch.setattr(run, "WATCH_EVERY", 0.02)
    live, looks = files.live(), itertools.count()
    look = live.refresh

    def refresh(now: datetime) -> bool:
        if next(looks) < 3:
            raise ZeroDivisionError
        return look(now)

    monkeypatch.setattr(live, "refresh", refresh)
    before = live.served.leaf
    with capture_logs() as lines, running(Listener("127.0.0.1", 0, live), client=files.client()):
        files.issue(trustme.KeyType.RSA)
        wait_until(lambda: live.served.leaf != before)
    events = [line["event"] for line in lines]
    assert events.count("certificate.look_broke") == 1
    assert "server.task_died" not in events


def test_a_supervisor_is_not_left_waiting_by_a_reload_that_breaks(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After RELOADING=1 there always comes READY=1: systemd kills who leaves it out (fault 41)."""
    told: list[str] = []
    live = files.live()

    def reload(_now: datetime) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(live, "reload", reload)
    monkeypatch.setattr(Supervisor, "_tell", lambda _self, *lines: told.append(lines[0]))
    with running(Listener("127.0.0.1", 0, live), client=files.client()) as server:
        wait_until(lambda: "READY=1" in told)
        told.clear()
        with pytest.raises(ZeroDivisionError):
            server.server.reload()
        assert told == ["RELOADING=1", "READY=1"]


# --- headers of every answer

SECURITY = {b"strict-transport-security: max-age=63072000", b"x-content-type-options: nosniff"}


@pytest.mark.parametrize("request_", [GET, b"nonsense\r\n\r\n", GET.replace(b"localhost", b"a b")])
def test_over_tls_every_answer_asks_for_tls(secure: Running, request_: bytes) -> None:
    """HSTS for two years and nosniff, on answers of the application and on refusals of the listener alike."""
    head = secure.ask(request_.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).partition(b"\r\n\r\n")[0]
    assert set(head.lower().split(b"\r\n")) >= SECURITY


def test_plain_http_promises_no_tls(plain: Running) -> None:
    """HSTS over plain HTTP means nothing and is left to the proxy in front; nosniff is sent."""
    head = plain.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).partition(b"\r\n\r\n")[0]
    assert set(head.lower().split(b"\r\n")) & SECURITY == {b"x-content-type-options: nosniff"}


# --- the patience


@dataclass(frozen=True)
class Slow:
    """What a slow client sends, and the status that it is told, if any."""

    first: bytes
    drip: bytes = b""
    status: int | None = None


SLOW = {
    "says nothing": Slow(b""),
    "half a line": Slow(b"GET /", status=408),
    "half a header": Slow(b"GET / HTTP/1.1\r\nHost: loc", b"a", status=408),
    "a header without end": Slow(b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n", status=408),
    "half a body": Slow(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n", b"b", status=408),
    "half a chunk": Slow(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", status=408),
    "line feeds only": Slow(b"\r\n", b"\r\n"),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_client_is_cut_in_time(impatient: Running, name: str) -> None:
    """Silence, half a header, half a body, dripped byte by byte: closed within the client timeout (fault 31)."""
    slow = SLOW[name]
    with impatient.connect() as connection:
        start = time.monotonic()
        connection.sendall(slow.first)
        connection.settimeout(0.02)
        received = b""
        while True:
            assert time.monotonic() - start < IMPATIENT + LEEWAY
            try:
                part = connection.recv(65536)
            except TimeoutError:
                with contextlib.suppress(OSError):
                    connection.send(slow.drip)
                continue
            except OSError:
                break
            if not part:
                break
            received += part
    if slow.status is not None:
        status, told = answer(received)
        assert (status, told["code"]) == (slow.status, "request_timeout")
    else:
        assert received == b""


def test_line_feeds_do_not_keep_a_used_connection(impatient: Running) -> None:
    """After an answer a lone line feed does not stop the clock for ever, and earns no second answer (fault 31)."""
    with impatient.connect() as connection:
        connection.sendall(GET)
        assert take(connection)[0] == 200
        start = time.monotonic()
        connection.sendall(b"\r\n")
        assert drain(connection) == b""
        assert time.monotonic() - start < IMPATIENT + LEEWAY


def test_a_client_that_does_not_read_is_cut(impatient: Running) -> None:
    """An answer that nobody takes holds its connection no longer than the client timeout (fault 31)."""
    wait_until(lambda: impatient.connections() == 0)
    with impatient.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        start = time.monotonic()
        connection.sendall(GET.replace(b"GET /", b"GET /big"))
        wait_until(lambda: impatient.connections() == 1)
        wait_until(lambda: impatient.connections() == 0)
        assert time.monotonic() - start < IMPATIENT + LEEWAY


def test_a_client_that_reads_slowly_but_surely_is_left_alone(impatient: Running) -> None:
    """An answer that takes many times the client timeout, but keeps flowing, arrives to its last byte (fault 31)."""
    with impatient.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(GET.replace(b"GET /", b"GET /big")[:-2] + b"Connection: close\r\n\r\n")
        start, received = time.monotonic(), 0
        while part := connection.recv(65536):
            received += len(part)
            time.sleep(0.003)
    assert received > 32 << 20
    assert time.monotonic() - start > 2 * IMPATIENT


@pytest.mark.parametrize("hello", [b"", b"\x16\x03\x01\x02\x00"])
def test_a_handshake_that_does_not_come_is_cut(files: Files, hello: bytes) -> None:
    """TCP without a hello, or with half of one, is closed within the client timeout (fault 31)."""
    listener = Listener("127.0.0.1", 0, files.live(), client_timeout=IMPATIENT)
    with running(listener) as server, server.connect() as connection:
        start = time.monotonic()
        connection.sendall(hello)
        assert drain(connection) == b""
        assert time.monotonic() - start < IMPATIENT + LEEWAY


def test_a_client_in_time_is_left_alone(impatient: Running) -> None:
    """A connection that pauses between complete requests is not taken for a slow one."""
    with impatient.connect() as connection:
        for _ in range(5):
            connection.sendall(GET)
            assert take(connection)[0] == 200
            time.sleep(IMPATIENT / 2)


# --- the limits

REFUSALS = {
    "101 headers": (GET[:-2] + b"X: y\r\n" * 100 + b"\r\n", 431, "headers_too_large"),
    "64 KiB of header": (GET[:-2] + b"X: " + b"y" * (64 << 10) + b"\r\n\r\n", 431, "headers_too_large"),
    "64 KiB of target": (b"GET /" + b"y" * (64 << 10) + GET[5:], 431, "headers_too_large"),
    "a header without end": (GET[:-2] + b"X: " + b"y" * (1 << 20), 431, "headers_too_large"),
    "absolute target": (GET.replace(b"GET /", b"GET http://evil.example/"), 400, "host_not_allowed"),
    "HTTP/2.0": (GET.replace(b"HTTP/1.1", b"HTTP/2.0"), 505, "version_not_supported"),
    "CONNECT": (GET.replace(b"GET /", b"CONNECT localhost:443"), 400, "host_not_allowed"),
    "no HTTP": (b"hello\r\n\r\n", 400, "malformed_request"),
    "two lengths": (GET[:-2] + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "malformed_request"),
    "bad chunk": (GET[:-2] + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "malformed_request"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_reach_the_application_is_refused_once(plain: Running, name: str) -> None:
    """Too large a header, a target with a host, broken HTTP: one problem+json, then the end (faults 31, 35, 37)."""
    request, status, code = REFUSALS[name]
    with plain.connect() as connection:
        with contextlib.suppress(OSError):
            connection.sendall(request)
        told, body = answer(drain(connection))
    assert (told, body["code"], body["status"]) == (status, code, status)


def test_one_address_cannot_fill_the_log() -> None:
    """Of a hundred malformed requests ten are logged, with their address; all of them are counted (fault 61)."""
    with capture_logs() as events, running(Listener("127.0.0.1", 0, None)) as server:
        lines = getattr(server.server.config.http_protocol_class, "lines")  # noqa: B009  typed as any protocol
        for number in range(100):
            assert answer(server.ask(b"X%d\r\n\r\n" % number))[0] == 400
    told = [event for event in events if event["event"] == "http.refused"]
    assert 1 <= len(told) <= LINES
    assert {(event["code"], event["address"]) for event in told} == {("malformed_request", "127.0.0.1")}
    assert lines.counted["malformed_request"] == 100


def test_what_the_log_tells_is_kept_for_the_operator() -> None:
    """Each malformed request that has a line in the log is handed to the application, and no other."""
    kept: list[tuple[str, int, str | None]] = []

    async def keeping(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            scope["state"][HOOKS] = Hooks(keep=lambda code, status, address, _: kept.append((code, status, address)))
        await echo(scope, receive, send)

    with capture_logs() as events, running(Listener("127.0.0.1", 0, None), keeping) as server:
        for _ in range(LINES + 5):
            server.ask(b"hello\r\n\r\n")
    told = [event for event in events if event["event"] == "http.refused"]
    assert kept == [("malformed_request", 400, "127.0.0.1")] * len(told)
    assert len(told) <= LINES


def test_what_was_left_out_of_the_log_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of its minute an address's silent refusals are counted in one line (fault 61)."""
    monkeypatch.setattr("app.domain.quotas.TURN_SECONDS", 0.3)
    with capture_logs() as events, running(Listener("127.0.0.1", 0, None)) as server:
        for _ in range(LINES + 3):
            server.ask(b"hello\r\n\r\n")
        wait_until(lambda: any(event["event"] == "http.muted" for event in events))
    [muted] = [event for event in events if event["event"] == "http.muted"]
    assert (muted["address"], muted["codes"]) == ("127.0.0.1", {"malformed_request": 3})


def test_requests_sent_far_ahead_are_not_hoarded(plain: Running) -> None:
    """Of thousands sent without waiting for an answer the first few are answered, the rest not even kept (fault 30)."""
    with plain.connect() as connection:
        with contextlib.suppress(OSError):
            connection.sendall(GET * 5000)
        answers = drain(connection).count(b"HTTP/1.1 200 ")
    assert 1 <= answers <= 2 * (MOST_WAITING + 1)


def test_a_full_header_passes(plain: Running) -> None:
    """A hundred headers of 60 KiB together are no attack."""
    request = GET[:-2] + b"X: %s\r\n" % (b"y" * 600) * 98 + b"Connection: close\r\n\r\n"
    status, seen = answer(plain.ask(request))
    assert (status, len(seen["headers"])) == (200, 100)


def test_junk_behind_a_request_does_not_take_its_answer(plain: Running) -> None:
    """A broken request pipelined behind a good one is not answered; the good one is, once (fault 35)."""
    assert answer(plain.ask(GET + b"junk junk junk\r\n\r\n"))[0] == 200


def test_an_offered_upgrade_is_a_plain_request(plain: Running) -> None:
    """A request that offers WebSocket is answered over HTTP, once, and what follows it is nothing (fault 35)."""
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert answer(plain.ask(GET[:-2] + upgrade + GET))[0] == 200


OFFERS = {
    "h2c, as curl and Java make it": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n",
    "websocket": b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n",
    "TLS": b"Connection: upgrade\r\nUpgrade: TLS/1.3, HTTP/1.1\r\n",
    "two offers": b"Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n",
    "an offer behind an expectation": b"Expect: 100-continue\r\nConnection: upgrade\r\nUpgrade: h2c\r\n",
}
BODIES = {
    "its length": b"Content-Length: 5\r\n\r\nhello",
    "chunks": b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("framed", BODIES)
@pytest.mark.parametrize("piece", [1, 7, 1000], ids=["by the byte", "in pieces", "at once"])
def test_an_offer_with_a_body_is_passed_over(plain: Running, offer: str, framed: str, piece: int) -> None:
    """The request is answered over HTTP/1.1 with its whole body, once, however it comes; the offer is dropped."""
    request = GET.replace(b"GET", b"POST")[:-2] + OFFERS[offer] + BODIES[framed] + GET
    with plain.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            for start in range(0, len(request), piece):
                connection.sendall(request[start : start + piece])
        received = drain(connection).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    status, seen = answer(received)
    assert (status, seen["body"], received.count(b"HTTP/1.1 ")) == (200, 5, 1)
    assert "upgrade" not in seen["headers"]


def test_an_offer_behind_another_request_waits_for_its_turn(plain: Running) -> None:
    """Pipelined behind a plain request an offer with a body gets its own answer, the second; a third offer none."""
    offer = GET.replace(b"GET", b"POST")[:-2] + OFFERS["websocket"] + BODIES["chunks"]
    received = plain.ask(GET + offer + offer)
    assert received.count(b"HTTP/1.1 200 ") == 2
    assert received.count(b"HTTP/1.1 ") == 2


def test_trailers_do_not_become_headers(plain: Running) -> None:
    """What follows a chunked body is dropped: the headers that were judged are the headers that are used (fault 36)."""
    request = GET.replace(b"GET", b"POST")[:-2] + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    status, seen = answer(plain.ask(request + b"1\r\na\r\n0\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n"))
    assert (status, seen["body"]) == (200, 1)
    assert "x-forwarded-for" not in seen["headers"]


@pytest.mark.parametrize("tail", [b"X: ", b"1;"])
def test_a_body_that_goes_on_for_ever_is_cut(plain: Running, tail: bytes) -> None:
    """Endless trailers and chunk extensions end the connection after a few MiB (fault 30)."""
    head = GET.replace(b"GET", b"POST")[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"
    endless = head + (b"0\r\n" if tail == b"X: " else b"") + tail + b"y" * (64 << 20)
    with plain.connect() as connection, pytest.raises(ConnectionError):
        connection.sendall(endless)


def test_an_early_answer_ends_the_connection_of_a_body_that_goes_on(plain: Running) -> None:
    """A body refused before its end is answered once and its connection closed soon after (fault 30)."""
    head = GET.replace(b"GET /", b"POST /early")[:-2] + b"Content-Length: 99999999\r\n\r\n"
    with plain.connect() as connection:
        connection.sendall(head)
        assert take(connection)[0] == 200
        connection.sendall(b"y")
        start = time.monotonic()
        assert drain(connection) == b""
        assert time.monotonic() - start < 2 + LEEWAY


# --- the start


def test_a_taken_port_is_one_clear_line(plain: Running, capsys: pytest.CaptureFixture[str]) -> None:
    """A port in use is exit code 78 and one line with the port and the command that shows who has it."""
    assert serve(echo, Listener("127.0.0.1", plain.port, None, language="en")) == 78
    line = capsys.readouterr().err
    assert f"port {plain.port} of 127.0.0.1 is taken" in line
    assert f"ss -ltnp 'sport = :{plain.port}'" in line
    assert line.count("\n") == 1


def test_a_host_that_is_not_ours_is_named() -> None:
    """An address that this machine does not have is refused by name."""
    with pytest.raises(StartRefused, match=r"API_HOST=203\.0\.113\.1: "):
        bind(Listener("203.0.113.1", 8443, None))


def test_an_application_that_refuses_to_start_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    """StartRefused raised while the application starts is exit code 78 and its findings, without a traceback."""

    async def unfit(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        with pytest.raises(DatabaseUnfit) as refusal:
            raise DatabaseUnfit(["run: aisha-webhook migrate"])
        try:
            raise refusal.value
        except DatabaseUnfit:  # as Starlette does it
            await send({"type": "lifespan.startup.failed", "message": "Traceback"})
            raise

    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(serve(unfit, Listener("127.0.0.1", 0, None))))
    thread.start()
    thread.join(10)
    assert codes == [78]
    assert capsys.readouterr().err == "run: aisha-webhook migrate\n"


def test_an_application_that_cannot_start_is_a_failure() -> None:
    """A bug while the application starts is exit code 1, with its traceback in the log."""

    async def buggy(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()
        raise ZeroDivisionError

    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(serve(buggy, Listener("127.0.0.1", 0, None))))
    thread.start()
    thread.join(10)
    assert codes == [1]


# --- the end


def test_an_application_that_does_not_leave_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that hangs in its farewell does not hold up the exit (fault 51)."""
    monkeypatch.setattr(lifespan, "LIFESPAN_END", 0.1)
    monkeypatch.setattr(lifespan, "SHUTDOWN_BY", 0.1)

    async def clinging(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.Event().wait()

    with capture_logs() as lines, running(Listener("127.0.0.1", 0, None), clinging):
        pass
    assert "server.farewell_too_slow" in [line["event"] for line in lines]


def test_the_application_hears_of_the_stop_while_requests_are_answered() -> None:
    """`on_stop` is called when the stop begins, not when the last request is done, so that no new work is begun."""
    order: list[str] = []
    stop_heard = threading.Event()

    def hear() -> None:
        order.append("stop")
        stop_heard.set()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            scope["state"][HOOKS] = Hooks(on_stop=hear)
            await echo(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        loop.call_soon(server.server.stop)
        await asyncio.to_thread(stop_heard.wait, 4)
        order.append("answer")
        await echo(scope, receive, send)

    with running(Listener("127.0.0.1", 0, None), slow) as server:
        try:
            assert answer(server.ask(GET))[0] == 200
        finally:
            server.server.rest()  # the forced exit would be that of the tests
    assert order == ["stop", "answer"]


PROGRAM = """
import sys
from pathlib import Path
import app.core.logger  # warnings go to stderr
from app.server.listener import Listener
from app.server.run import serve
from app.tls.live import LiveContext
from tests.process.listening import echo
live = LiveContext(*map(Path, sys.argv[1:4]))
live.load()
sys.exit(serve(echo, Listener("127.0.0.1", 0, live), lambda url: print("ready", url, flush=True)))
"""


def said_by(files: Files) -> Path:
    """Where the warnings of `program` go."""
    return files.cert.with_name("stderr.txt")


@contextmanager
def program(files: Files) -> Iterator[tuple[subprocess.Popen[str], Running]]:
    """Run `serve` in a process of its own, as its main thread."""
    command = [sys.executable, "-c", PROGRAM, str(files.cert), str(files.key), str(files.bundle)]
    with (
        said_by(files).open("w") as said,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=said, text=True) as child,
    ):
        try:
            assert child.stdout is not None
            port = next(int(line.rpartition(":")[2]) for line in child.stdout if line.startswith("ready https://"))
            yield child, Running(None, port, files.client())  # type: ignore[arg-type]  # the server is in the child
        finally:
            child.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_leaves_in_time(files: Files, number: signal.Signals) -> None:
    """SIGTERM and SIGINT end the server with 0 within 10 s, though idle TLS clients never say goodbye (fault 51)."""
    with program(files) as (child, server), contextlib.ExitStack() as held:
        for _ in range(5):
            connection = held.enter_context(server.connect())
            connection.sendall(GET)
            assert take(connection)[0] == 200
        half = held.enter_context(server.connect())
        half.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345")
        held.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        start = time.monotonic()
        child.send_signal(number)
        half.sendall(b"67890")
        assert take(half)[0] == 200  # what was under way is finished
        assert child.wait(15) == 0
        assert time.monotonic() - start < 10


def test_hangup_reloads_the_certificate(files: Files) -> None:
    """SIGHUP serves the new pair at once, keeps the old one when the new is bad, and never kills (fault 41)."""
    with program(files) as (child, server):

        def shown() -> bytes:
            with server.connect() as connection:
                assert isinstance(connection, ssl.SSLSocket)
                der = connection.getpeercert(binary_form=True)
                assert der is not None
                return x509.load_der_x509_certificate(der).fingerprint(hashes.SHA256())

        first = shown()
        files.issue(trustme.KeyType.RSA)
        second = files.fingerprint()
        child.send_signal(signal.SIGHUP)
        wait_until(lambda: shown() != first, 1.5)  # sooner than the watch, which must see a pair twice
        assert shown() == second
        files.key.write_bytes(b"junk")
        for refusals in (1, 2):
            child.send_signal(signal.SIGHUP)
            wait_until(lambda: said_by(files).read_text().count("certificate.refused") >= refusals)  # noqa: B023  asked within the turn
            assert shown() == second
        assert child.poll() is None
