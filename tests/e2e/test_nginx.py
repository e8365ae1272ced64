"""The shipped nginx in front of two replicas on one PostgreSQL: what it lets through and what it stops."""

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app.routers.fal_webhook import PATH
from app.twins.signing import ACCOUNT, FalKey, sign
from tests.e2e.nginx import NAME, fal, needs_nginx, needs_stream, replicated, running_nginx
from tests.e2e.scanner import ScannerMissing, scan
from tests.faults.rig import Rig, job, until
from tests.ports import free_port

pytestmark = [pytest.mark.anyio, needs_nginx]

LISTED, FOREIGN = "203.0.113.7", "198.51.100.9"  # documentation addresses
FAL = "203.0.113.0/24"
MEBIBYTE = 1 << 20
WEBHOOKISH = (
    PATH,
    f"{PATH}/",
    f"/{PATH}",
    PATH.replace("/avatar", "//avatar"),
    PATH.upper(),
    PATH.replace("status", "Status"),
    PATH.replace("s", "%73", 1),
    PATH.replace("/", "%2f", 2),
    f"/x/..{PATH}",
    f"/.{PATH}",
    f"{PATH}/..",
    f"{PATH};a=b",
    f"{PATH}%00",
    f"{PATH}?training_type=portrait",
    PATH.rpartition("/")[0],
    PATH.rpartition("/")[0] + "/",
    "/.well-known/acme-challenge",
    "/.well-known/acme-challenge/",
    "/",
)


def request(body: bytes, headers: Mapping[str, str], *, path: str = PATH, method: str = "POST") -> bytes:
    """Spell one request that is the last of its connection."""
    lines = {"Host": NAME, "Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in {**lines, **headers}.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def delivery(key: FalKey, one: tuple[str, bytes], *, path: str = PATH, **more: str) -> bytes:
    """Spell a signed delivery of a job and its body."""
    return request(one[1], {**sign(key, one[0], ACCOUNT, int(time.time()), one[1]), **more}, path=path)


def status(raw: bytes) -> int:
    return int(raw.split(b" ", 2)[1]) if raw else 0


def problem(raw: bytes) -> Any:
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head, raw
    return json.loads(body)


async def test_signed_deliveries_pass_on_both_ports(postgres_rig: Rig, tmp_path: Path) -> None:
    """What fal signs arrives byte for byte, headers untouched, through 443 and 8443; applied once and told once."""
    jobs = [job(number) for number in range(20)]
    postgres_rig.train([request_id for request_id, _ in jobs])
    async with replicated(postgres_rig, tmp_path) as front:
        for port, part in ((front.ports.tls, jobs[::2]), (front.ports.other, jobs[1::2])):
            async with fal(postgres_rig, front, port) as sender:
                records = await sender.deliver_all(part)
            assert {tuple(record.statuses) for record in records} == {(200,)}
        await postgres_rig.settled()
        figures = postgres_rig.check()
        assert figures.applied == figures.messages == len(jobs)


async def test_the_client_is_the_one_who_connected(postgres_rig: Rig, tmp_path: Path) -> None:
    """The filter judges the address that nginx saw, whatever the client says of itself (fault 36)."""
    cases: dict[str, tuple[str, dict[str, str], int]] = {
        "fal": (LISTED, {}, 200),
        "somebody": (FOREIGN, {}, 403),
        "spoofed": (FOREIGN, {"X-Forwarded-For": LISTED}, 403),
        "spoofed loopback": (FOREIGN, {"X-Forwarded-For": "127.0.0.1"}, 403),
        "spoofed chain": (FOREIGN, {"X-Forwarded-For": f"{LISTED}, 127.0.0.1"}, 403),
        "other headers": (FOREIGN, {"X-Real-IP": LISTED, "Forwarded": f"for={LISTED}"}, 403),
        "underscores": (FOREIGN, {"X_Forwarded_For": LISTED}, 403),
        "fal behind a foreign hop": (LISTED, {"X-Forwarded-For": FOREIGN}, 200),
        "fal behind junk": (LISTED, {"X-Forwarded-For": "not-an-ip"}, 200),
    }
    key = postgres_rig.outside.fal.key
    async with replicated(postgres_rig, tmp_path, ALLOWED_IPS=FAL) as front:
        answered = {
            name: status(await asyncio.to_thread(front.ask, delivery(key, job(number), **spoofed), claims=claims))
            for number, (name, (claims, spoofed, _)) in enumerate(cases.items())
        }
    assert answered == {name: wanted for name, (_, _, wanted) in cases.items()}


async def test_bodies_end_at_one_mebibyte(postgres_rig: Rig, tmp_path: Path) -> None:
    """The largest body we take passes; a byte more, or one without an end, is 413 with our own code (fault 30)."""
    key = postgres_rig.outside.fal.key
    largest, larger = ((job(size)[0], b'"' + b"x" * (size - 2) + b'"') for size in (MEBIBYTE, MEBIBYTE + 1))
    endless = request(b"", {"Transfer-Encoding": "chunked"}).replace(b"Content-Length: 0\r\n", b"")
    chunks = (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 64
    async with replicated(postgres_rig, tmp_path) as front:
        assert status(await asyncio.to_thread(front.ask, delivery(key, largest))) == 200
        for refused in (delivery(key, larger), endless + chunks):
            raw = await asyncio.to_thread(front.ask, refused)
            assert status(raw) == 413
            assert problem(raw)["code"] == "body_too_large"


async def test_who_means_another_name_hears_nothing(postgres_rig: Rig, tmp_path: Path) -> None:
    """An unknown SNI gets no handshake, an unknown Host under the right SNI no answer, port 80 a 404 (fault 37)."""
    async with replicated(postgres_rig, tmp_path) as front:
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized_name"):
            await asyncio.to_thread(front.ask, request(b"{}", {}), name="evil.example")
        for host in ("evil.example", "aibots.kz.evil.example", "127.0.0.1"):
            assert status(await asyncio.to_thread(front.ask, request(b"{}", {"Host": host}))) == 0, host
        assert status(await asyncio.to_thread(front.ask, request(b"{}", {"Host": ""}))) == 400
        absolute = request(b"{}", {}, path=f"http://evil.example{PATH}")
        assert await asyncio.to_thread(front.ask, absolute) == b""
        assert status(await asyncio.to_thread(front.ask_plain, request(b"{}", {"Host": "evil.example"}))) == 404


async def test_a_body_that_does_not_come_is_cut(postgres_rig: Rig, tmp_path: Path) -> None:
    """Half a header and half a body are let go after the limit; no replica has heard of them (fault 31)."""
    whole = request(b"x" * 1000, {})
    impatient = {
        "client_header_timeout 15s": "client_header_timeout 1s",
        "client_body_timeout 15s": "client_body_timeout 1s",
    }
    async with replicated(postgres_rig, tmp_path, impatient) as front:
        begun = time.monotonic()
        for part in (b"", whole[:60], whole[:-500]):
            raw = await asyncio.to_thread(front.ask, part)
            assert status(raw) in (0, 408)
        assert time.monotonic() - begun < 30
        entries = [json.loads(line) for line in front.log.read_text(encoding="utf-8").splitlines()]
    assert {entry["upstream"] for entry in entries} == {""}


async def test_one_address_may_have_so_many_requests_under_way(postgres_rig: Rig, tmp_path: Path) -> None:
    """Whoever has more under way than the limit is told 503 and when to come again; another address is served."""
    held = request(b"x" * 1000, {})[:-500]
    async with replicated(
        postgres_rig, tmp_path, {"limit_conn aisha_webhook 100": "limit_conn aisha_webhook 2"}
    ) as front:
        first, second = [await asyncio.to_thread(front.connect, claims=FOREIGN) for _ in range(2)]
        with first, second:
            for connection in (first, second):
                await asyncio.to_thread(connection.sendall, held)
            refused = b""

            async def is_refused() -> bool:
                nonlocal refused
                refused = await asyncio.to_thread(front.ask, request(b"{}", {}), claims=FOREIGN)
                return status(refused) == 503

            await until(is_refused, 10)  # nginx has read both headers by then
            served = await asyncio.to_thread(front.ask, request(b'{"test": true}', {}), claims=LISTED)
    assert problem(refused)["code"] == "too_many_connections"
    assert b"Retry-After: 10" in refused
    assert status(served) == 200


async def test_nothing_is_redirected(postgres_rig: Rig, tmp_path: Path) -> None:
    """No path near the webhook, by any method, on any port, is answered 3xx or 500 (fault 38)."""
    answered: dict[tuple[str, str, str], int] = {}
    async with replicated(postgres_rig, tmp_path) as front:
        for path in WEBHOOKISH:
            for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS"):
                raw = request(b"", {}, path=path, method=method)
                answered["https", method, path] = status(await asyncio.to_thread(front.ask, raw))
                answered["http", method, path] = status(await asyncio.to_thread(front.ask_plain, raw))
    assert {code for code in answered.values() if code < 200 or 300 <= code < 400 or code >= 500} == set()
    assert answered["https", "POST", PATH] == 401
    assert answered["https", "GET", PATH] == 405
    for other in (("https", "POST", f"{PATH}/"), ("https", "POST", f"/{PATH}"), ("http", "POST", PATH)):
        assert answered[other] == 404, other


async def test_the_access_log_is_json_without_secrets(postgres_rig: Rig, tmp_path: Path) -> None:
    """A request is one line of JSON with the way it took: no query, no signature, no control character (fault 44)."""
    number, key = job(7)[0], postgres_rig.outside.fal.key
    hostile = "/\u202e\x1b[31m?token=canary-query".encode().decode("latin-1")
    async with replicated(postgres_rig, tmp_path) as front:
        raw = delivery(key, job(7), path=f"{PATH}?training_type=canary-query")
        await asyncio.to_thread(front.ask, raw)
        for path in (hostile, '/"}\\'):
            await asyncio.to_thread(front.ask, request(b"", {"X-Fal-Webhook-Request-Id": 'a"\x1b'}, path=path))
        text = front.log.read_text(encoding="utf-8")
    entries = [json.loads(line) for line in text.splitlines()]
    assert entries[0] | {"path": PATH, "request_id": number, "status": 200, "method": "POST"} == entries[0]
    assert [entry["request_id"] for entry in entries[1:]] == ["-"] * (len(entries) - 1)
    assert text.isascii()
    assert "\x1b" not in text
    signature = raw.partition(b"X-Fal-Webhook-Signature: ")[2][:16].decode()
    for secret in ("canary-query", "training_type", signature):
        assert secret not in text


async def test_certbot_finds_its_challenge(postgres_rig: Rig, tmp_path: Path) -> None:
    """What certbot puts below the webroot is served on port 80, over plain HTTP."""
    async with replicated(postgres_rig, tmp_path) as front:
        place = front.folder / "webroot" / ".well-known" / "acme-challenge"
        place.mkdir(parents=True)
        (place / "token").write_text("token.thumbprint", encoding="ascii")
        asked = request(b"", {}, path="/.well-known/acme-challenge/token", method="GET")
        raw = await asyncio.to_thread(front.ask_plain, asked)
    assert status(raw) == 200
    assert raw.endswith(b"\r\n\r\ntoken.thumbprint")


async def test_a_scanner_finds_nothing_against_mozilla_s_profile(postgres_rig: Rig, tmp_path: Path) -> None:
    """sslyze finds Mozilla's intermediate profile on both TLS ports, HSTS included."""
    async with replicated(postgres_rig, tmp_path) as front:
        for port in (front.ports.tls, front.ports.other):
            try:
                complaints = await asyncio.to_thread(scan, "127.0.0.1", port, front.ca, "intermediate", NAME)
            except ScannerMissing as missing:
                pytest.skip(str(missing))
            assert complaints == []


@needs_stream
async def test_tls_can_be_passed_on_unread(postgres_rig: Rig, tmp_path: Path) -> None:
    """Through the stream, deliveries reach replicas that speak TLS themselves, also when one of them is not there."""
    folder = tmp_path / "nginx"
    own = {
        "SSL_ENABLED": "true",
        "SSL_CERT_PATH": str(folder / "certificate" / "fullchain.pem"),
        "SSL_KEY_PATH": str(folder / "certificate" / "privkey.pem"),
    }
    ports = (postgres_rig.port, free_port())
    jobs = [job(number) for number in range(10)]
    postgres_rig.train([request_id for request_id, _ in jobs])
    with running_nginx(folder, ports, passthrough=True) as front:
        await postgres_rig.start(port=ports[1], **own)
        async with fal(postgres_rig, front) as sender:
            records = await sender.deliver_all(jobs)
        assert {tuple(record.statuses) for record in records} == {(200,)}
        await postgres_rig.settled()
        postgres_rig.check()
