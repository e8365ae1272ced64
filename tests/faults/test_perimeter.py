"""What strangers send to the real server: names, paths, addresses, keys, clocks, and lines for its log."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.core.text import UNSAFE
from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.fal import FalTwin
from app.twins.sender import Attempt, FalDelivery
from app.twins.signing import ACCOUNT, sign
from app.twins.telegram import TelegramTwin
from tests.faults.rig import Rig, full_only, job, until
from tests.process.conftest import ROOT, Outside

pytestmark = pytest.mark.anyio

DIRECT, PROXY = "127.0.0.1", "127.0.0.2"  # where a connection comes from; the second is the one listed proxy
FAL_ADDRESS = "34.123.59.101"
STRANGER = "203.0.113.9"
OUR_HOST = b"Host: localhost"
JSON = b"Content-Type: application/json"
STATUS_LINE = re.compile(rb"HTTP/1\.1 \d{3} ")
ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n(.*?)\r\n\r\n(.*)\Z", re.DOTALL)
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
UNLOGGED = {"malformed_request", "not_found"}  # refused before anything is logged
HOSTILE = (
    "\x1b[31m",  # ANSI
    "\x9b31m",  # the same in one C1 character
    '\n{"event": "forged"}',
    '\r{"event": "forged"}',
    '\u2028{"event": "forged"}\u2029',
    "\u202egnp.exe\u2066",  # bidi
    "\x00\x07\x08\x7f",
    "\u200b\ufeff\U000e0041",  # invisible
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for the module, because one server serves it."""
    return "asyncio"


@pytest.fixture(scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("perimeter")
    database = shutil.copy(sqlite_template, folder / "aisha.db")
    fal, telegram = FalTwin(), TelegramTwin()
    async with fal.serve() as fal_url, telegram.serve() as telegram_url:
        outside = Outside(fal, fal_url, telegram, telegram_url)
        rig = Rig(folder / "server", f"sqlite:///{database}", outside, settings={"FORWARDED_ALLOW_IPS": PROXY})
        rig.watch()
        await rig.start()
        try:
            yield rig
            rig.check(settled=False)
        finally:
            await rig.close()


async def say(rig: Rig, raw: bytes, source: str = DIRECT) -> Answer:
    """Send raw bytes over a connection of their own and read what comes until its end: exactly one answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port, local_addr=(source, 0))
    received = b""
    async with asyncio.timeout(30):
        with suppress(ConnectionResetError):
            writer.write(raw)
            received = await reader.read()
        writer.close()
    assert len(STATUS_LINE.findall(received)) == 1, received
    match = ANSWER.fullmatch(received)
    assert match is not None, received
    lines = [line.partition(b":") for line in match[2].split(b"\r\n")]
    headers = {name.decode().lower(): value.strip().decode() for name, _, value in lines}
    return Answer(int(match[1]), headers, match[3])


def request(method: str, target: str | bytes, *lines: bytes, body: bytes = b"") -> bytes:
    """Put a request together byte by byte."""
    raw = target.encode() if isinstance(target, str) else target
    first = b"%b %b HTTP/1.1" % (method.encode(), raw)
    length = [b"Content-Length: %d" % len(body)] if body else []
    return b"\r\n".join([first, *lines, *length, b"Connection: close", b"", body])


def signed_lines(rig: Rig, request_id: str, body: bytes, at: float | None = None) -> list[bytes]:
    moment = int(time.time() if at is None else at)
    headers = sign(rig.outside.fal.key, request_id, ACCOUNT, moment, body)
    return [f"{name}: {value}".encode() for name, value in headers.items()]


async def deliver(
    rig: Rig, job: tuple[str, bytes], *lines: bytes, source: str = DIRECT, at: float | None = None, query: str = ""
) -> Answer:
    """Do what fal does with a job's id and body, and note it for the invariants."""
    request_id, body = job
    raw = request("POST", PATH + query, OUR_HOST, JSON, *signed_lines(rig, request_id, body, at), *lines, body=body)
    answer = await say(rig, raw, source)
    rig.records.append(FalDelivery(request_id, body, attempts=[Attempt(time.time(), {}, answer.status, answer.body)]))
    return answer


async def over(rig: Rig, request_ids: list[str]) -> None:
    """Wait until each of these deliveries was looked at: it is done, dead, or waits with a reason."""
    names = ", ".join(f"'{request_id}'" for request_id in request_ids)
    untouched = f"reason IS NULL AND request_id IN ({names})"
    await until(lambda: rig.count("webhook_deliveries", untouched) == 0, within=30, every=0.05)


# --- the Host header (fault 37)

HOSTS = {
    "evil": [b"Host: evil.example"],
    "none": [],
    "empty": [b"Host:"],
    "two, both ours": [b"Host: localhost", b"Host: localhost"],
    "two, evil last": [b"Host: localhost", b"Host: evil.example"],
    "two, evil first": [b"Host: evil.example", b"Host: localhost"],
    "a list": [b"Host: localhost, evil.example"],
    "userinfo": [b"Host: localhost@evil.example"],
    "userinfo before ours": [b"Host: evil.example@localhost"],
    "port of letters": [b"Host: localhost:https"],
    "port and host": [b"Host: localhost:443@evil.example"],
    "port too high": [b"Host: localhost:65536"],
    "port without digits": [b"Host: localhost:"],
    "suffix": [b"Host: aibots.kz.evil.example"],
    "prefix": [b"Host: evilaibots.kz"],
    "trailing dot": [b"Host: aibots.kz."],
    "IPv6 literal": [b"Host: [::2]"],
    "IPv6 zone": [b"Host: [fe80::1%25eth0]:8443"],
    "IPv6 without brackets": [b"Host: ::1"],
    "decimal address": [b"Host: 2130706433"],
    "path": [b"Host: localhost/evil.example"],
    "fragment": [b"Host: localhost#evil.example"],
    "escape": [b"Host: localhost%2eevil.example"],
    "full-width": "Host: ａibots.kz".encode(),
    "C1": b"Host: localhost\x9b",
    "tab inside": [b"Host: local\thost"],
    "folded": [b"Host: localhost", b" evil.example"],
}


@pytest.mark.parametrize("lines", HOSTS.values(), ids=list(HOSTS))
async def test_another_host_is_a_400(rig: Rig, lines: list[bytes] | bytes) -> None:
    """Whatever is not exactly one of our names is refused on a page and on the webhook, no name echoed (fault 37)."""
    hosts = [lines] if isinstance(lines, bytes) else lines
    request_id, body = job(1)
    signed = [JSON, *signed_lines(rig, request_id, body), b"X-Forwarded-Host: evil.example"]
    for raw in (request("GET", "/", *hosts), request("POST", PATH, *hosts, *signed, body=body)):
        answer = await say(rig, raw)
        assert answer.status == 400
        assert answer.json()["code"] in ("host_not_allowed", "malformed_request")
        assert "location" not in answer.headers
        assert b"evil" not in answer.body


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost/",
        "http://evil.example/",
        f"https://evil.example{PATH}",
        "//evil.example",
        "localhost:443",
        "*",
    ],
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "CONNECT"])
async def test_a_target_that_names_a_host_is_no_page(rig: Rig, method: str, target: str) -> None:
    """An absolute or authority form is refused, `//host` is a path that does not exist; never a redirect (fault 37)."""
    answer = await say(rig, request(method, target, OUR_HOST))
    assert answer.status in (400, 404)
    assert "location" not in answer.headers
    assert b"evil" not in answer.body


async def test_no_address_is_built_from_the_host(rig: Rig) -> None:
    """Of our several names none comes back in an answer: pages name paths only (fault 37)."""
    forwarded = [b"X-Forwarded-Host: evil.example", b"Forwarded: host=evil.example", b"X-Original-URL: /evil"]
    for source in (DIRECT, PROXY):
        answer = await say(rig, request("GET", "/", b"Host: api.aibots.kz:8443", *forwarded), source)
        assert answer.status == 200
        assert b"api.aibots.kz" not in answer.body
        assert b"evil" not in answer.body


# --- paths and methods (fault 38)

PATHS = {
    "trailing slash": PATH + "/",
    "two slashes": "/" + PATH,
    "two slashes inside": PATH.replace("/avatar", "//avatar"),
    "upper case": PATH.upper(),
    "one capital": PATH.replace("status", "Status"),
    "escaped dot": PATH + "%2e",
    "dot segment": PATH.replace("/avatar", "/./avatar"),
    "escaped dot segment": PATH.replace("/avatar", "/%2e/avatar"),
    "dot dot": PATH.replace("/avatar", "/x/../avatar"),
    "escaped dot dot": PATH.replace("/avatar", "/x/%2e%2e/avatar"),
    "escaped slash": PATH.replace("/status", "%2Fstatus"),
    "escaped letter": PATH.replace("status", "%73tatus"),
    "escaped underscore": PATH.replace("_", "%5f"),
    "escaped twice": PATH.replace("_", "%255f"),
    "backslash": PATH.replace("/status", "\\status"),
    "parameter": PATH + ";jsessionid=1",
    "NUL": PATH + "%00",
    "line feed": PATH + "%0d%0aLocation:%20https://evil.example",
    "space": PATH + "%20",
    "bad escape": PATH + "%zz",
    "bad UTF-8": PATH + "%ff",
    "suffix": PATH + ".json",
    "parent": "/api/v1/avatar",
    "parent with slash": "/api/v1/avatar/",
    "another version": PATH.replace("v1", "v2"),
    "hook of another server": "/webhook",
}


@pytest.mark.parametrize("target", PATHS.values(), ids=list(PATHS))
async def test_another_path_is_a_404(rig: Rig, target: str) -> None:
    """A genuine delivery to anything but the exact path is a 404 for every method, and never a 3xx (fault 38)."""
    request_id, body = job(2)
    signed = [OUR_HOST, JSON, *signed_lines(rig, request_id, body)]
    for raw in (request("POST", target, *signed, body=body), request("GET", target, OUR_HOST)):
        answer = await say(rig, raw)
        assert (answer.status, answer.json()["code"]) == (404, "not_found")
        assert "location" not in answer.headers
    assert rig.count("webhook_deliveries", f"request_id = '{request_id}'") == 0


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "PURGE", "LINK", "SUBSCRIBE"]
)
async def test_another_method_is_a_405(rig: Rig, method: str) -> None:
    """The webhook takes POST and says so (fault 38)."""
    for target in (PATH, PATH + "?training_type=portrait", PATH + "?"):
        answer = await say(rig, request(method, target, OUR_HOST))
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        assert "location" not in answer.headers


@pytest.mark.parametrize("method", ["post", "Post", "FETCH", "PO ST", "", "P\x00ST"])
async def test_what_is_no_method_is_a_400(rig: Rig, method: str) -> None:
    """A method that HTTP does not know is refused before it reaches a page (fault 38)."""
    answer = await say(rig, request(method, PATH, OUR_HOST))
    assert (answer.status, answer.json()["code"]) == (400, "malformed_request")


@pytest.mark.parametrize(
    "query", ["", "?", "?training_type=portrait", "?training_type=style&x=%0d%0a", "?//evil.example"]
)
async def test_the_query_is_no_part_of_the_path(rig: Rig, query: str) -> None:
    """With any query the exact path takes a delivery (fault 38)."""
    assert (await deliver(rig, job(3), query=query)).status == 200


@pytest.mark.parametrize("page", ["/health", "/livez", "/readyz", "/api/v1/health", "/api/v1/webhook/status", "/docs"])
async def test_pages_do_not_redirect_either(rig: Rig, page: str) -> None:
    """A page with a trailing slash, another case or method is a 404 or 405 and never a 3xx (fault 38)."""
    for method, target in (("GET", page + "/"), ("GET", page.upper()), ("GET", "/" + page), ("POST", page)):
        answer = await say(rig, request(method, target, OUR_HOST))
        assert answer.status in (404, 405)
        assert "location" not in answer.headers


# --- who is calling (fault 36)

SPOOFS = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP", "Via")


async def seen_as(rig: Rig, source: str, *lines: bytes) -> str:
    """Ask, as an operator's probe does, what the server thinks of the address."""
    answer = await say(rig, request("POST", PATH, OUR_HOST, JSON, *lines, body=b'{"test": true}'), source)
    assert answer.status == 200
    return str(answer.json()["checks"]["address"])


@pytest.mark.parametrize("name", SPOOFS)
async def test_a_stranger_does_not_choose_an_address(rig: Rig, name: str) -> None:
    """From a peer that is no listed proxy no header changes who is calling, for better or worse (fault 36)."""
    for value in (STRANGER, f"for={STRANGER}", "not-an-ip", "", f"{FAL_ADDRESS}, {STRANGER}"):
        assert await seen_as(rig, DIRECT, f"{name}: {value}".encode()) == "listed"  # loopback, as it is


@pytest.mark.parametrize("name", SPOOFS[1:])
async def test_a_proxy_is_believed_in_one_header(rig: Rig, name: str) -> None:
    """Behind a listed proxy only X-Forwarded-For counts: fal's address in another header opens nothing (fault 36)."""
    lines = [f"X-Forwarded-For: {STRANGER}".encode(), f"{name}: {FAL_ADDRESS}".encode()]
    assert await seen_as(rig, PROXY, *lines) == "not listed"


CHAINS = {
    "fal": ([FAL_ADDRESS], "listed"),
    "mapped": ([f"::ffff:{FAL_ADDRESS}"], "listed"),
    "stranger": ([STRANGER], "not listed"),
    "spoofed before the truth": ([f"{FAL_ADDRESS}, {STRANGER}"], "not listed"),
    "spoofed in a header of its own": ([FAL_ADDRESS, STRANGER], "not listed"),
    "loopback before the truth": ([f"127.0.0.1, {STRANGER}"], "not listed"),
    "the proxy before the truth": ([f"{PROXY}, {STRANGER}"], "not listed"),
    "the proxy behind the truth": ([f"{STRANGER}, {PROXY}"], "not listed"),
    "junk before the truth": ([f"<script>, {FAL_ADDRESS}"], "listed"),
    "junk behind the truth": ([f"{FAL_ADDRESS}, unknown"], "not listed"),
    "junk": (["not-an-ip"], "not listed"),
    "empty": ([""], "not listed"),
    "with a port": ([f"{FAL_ADDRESS}:443"], "listed"),
    "in brackets": ([f"[::ffff:{FAL_ADDRESS}]"], "listed"),
    "a range": ([f"{FAL_ADDRESS}/32"], "not listed"),
    "octal": (["042.0173.073.0145"], "not listed"),
    "a number": (["578501477"], "not listed"),
    "a thousand hops": ([", ".join([FAL_ADDRESS] * 1000 + [STRANGER])], "not listed"),
}


@pytest.mark.parametrize(("values", "expected"), CHAINS.values(), ids=list(CHAINS))
async def test_behind_a_proxy_the_last_hop_counts(rig: Rig, values: list[str], expected: str) -> None:
    """The right-most hop that is no listed proxy is the caller; what cannot be read is denied (fault 36)."""
    lines = [f"X-Forwarded-For: {value}".encode() for value in values]
    assert await seen_as(rig, PROXY, *lines) == expected
    answer = await deliver(rig, job(4), *lines, source=PROXY)
    assert answer.status == (200 if expected == "listed" else 403)


# --- the same again (fault 22)


async def test_a_body_signed_again_has_no_effect(rig: Rig) -> None:
    """fal signs a retry anew: 200, the same to the byte; one row, one change, one message (fault 22)."""
    request_id, _ = job(5)
    rig.train([request_id])
    told = len(rig.outside.telegram.messages)
    now = time.time()
    answers = [await deliver(rig, job(5), at=now - 60)]
    await until(lambda: len(rig.outside.telegram.messages) > told, within=20, every=0.05)
    answers += [await deliver(rig, job(5), at=now), await deliver(rig, job(5), at=now + 60)]
    assert [(answer.status, answer.body) for answer in answers] == [(200, answers[0].body)] * 3
    await over(rig, [request_id])
    assert rig.rows(f"SELECT repeats FROM webhook_deliveries WHERE request_id = '{request_id}'") == [{"repeats": 2}]
    assert len(rig.outside.telegram.messages) == told + 1


@pytest.mark.parametrize("seconds", [-302, -3600, 302, 3600])
async def test_a_replay_is_refused_by_its_time(rig: Rig, seconds: int) -> None:
    """What was signed more than five minutes ago, or ahead, is refused and not stored (fault 22)."""
    answer = await deliver(rig, job(6), at=time.time() + seconds)
    assert (answer.status, answer.json()["code"]) == (401, "timestamp_outside_window")
    assert "clock" in answer.json()["detail"]
    assert rig.count("webhook_deliveries", f"request_id = '{job(6)[0]}'") == 0


# --- lines for the log (fault 44)


def hostile_requests(rig: Rig) -> Iterator[bytes]:
    """One request for each hostile text in each field that a stranger fills."""
    request_id, body = job(7)
    genuine = dict(line.split(b": ", 1) for line in signed_lines(rig, request_id, body))
    fields = [*genuine, b"User-Agent", b"Content-Type", b"X-Forwarded-For", b"Referer", b"X-Request-Id"]
    for text in HOSTILE:
        raw = text.encode()
        for name in fields:
            lines = {b"Content-Type": b"application/json", **genuine, name: b"a" + raw + b"z"}
            heads = [b"%b: %b" % item for item in lines.items()]
            yield request("POST", PATH, OUR_HOST, *heads, body=body)
        yield request("POST", PATH, b"Host: localhost" + raw, JSON, body=body)
        yield request("POST", PATH, OUR_HOST, JSON, b"X-" + raw + b": 1", body=body)
        yield request("POST", b"/" + raw, OUR_HOST, JSON, body=body)
        yield request("POST", PATH.encode() + b"?" + raw, OUR_HOST, JSON, body=body)
        yield request("P" + text, PATH, OUR_HOST)
        escaped = "".join(f"%{byte:02x}" for byte in raw)
        yield request("POST", f"/{escaped}", OUR_HOST, JSON, body=body)
        yield request("POST", f"{PATH}?training_type={escaped}", OUR_HOST, JSON, body=body)
        probe = json.dumps({"request_id": f"test{text}", "test": True}).encode()
        yield request("POST", PATH, OUR_HOST, JSON, body=probe)


def hostile_bodies() -> Iterator[tuple[str, bytes]]:
    """Bodies that fal would have to sign, hostile in each field that is read."""
    for number, text in enumerate(HOSTILE):
        request_id = bodies.job_id(1000 + number)
        yield request_id, bodies.body_for(request_id, status=text)
        request_id = bodies.job_id(1100 + number)
        yield request_id, bodies.body_for(text)
        request_id = bodies.job_id(1200 + number)
        yield request_id, bodies.body_for(request_id, status="ERROR", error=text, payload={"detail": text})
        request_id = bodies.job_id(1300 + number)
        lora = {"diffusers_lora_file": {"url": f"https://v3.fal.media/{text}", "file_name": text}}
        yield request_id, bodies.success(request_id, lora)
        request_id = bodies.job_id(1400 + number)
        yield request_id, text.encode()


def log_lines(rig: Rig, name: str) -> list[dict[str, Any]]:
    text = (rig.folder / "logs" / name).read_bytes().decode()
    assert UNSAFE.search(text.replace("\n", "")) is None
    assert not text or text.endswith("\n")  # nothing yet, where this is the first test of its server
    return [json.loads(line) for line in text.splitlines()]


async def test_no_stranger_writes_a_line_of_the_log(rig: Rig) -> None:
    """Control characters in every header, URL and body field: one event is one JSON line, none forged (fault 44)."""
    before = {name: len(log_lines(rig, name)) for name in ("api_server.log", "webhook.log")}
    await deliver(rig, job(7))  # whose signature is borrowed below
    answered: Counter[str] = Counter()
    for n, raw in enumerate(hostile_requests(rig)):
        answer = await say(rig, raw, f"127.0.1.{n + 1}")  # an address each, so that no line is muted
        assert answer.status < 500
        assert UNSAFE.search(answer.body.decode()) is None
        if answer.json().get("code") not in UNLOGGED:
            answered[answer.json().get("code", "probed" if "checks" in answer.json() else "stored")] += 1
    lines = log_lines(rig, "webhook.log")[before["webhook.log"] :]
    logged = Counter("probed" if line["event"] == "delivery.probed" else line.get("code") for line in lines)
    del answered["stored"], logged[None]
    assert logged == answered
    assert len(answered) > 3
    for text in HOSTILE[:-1]:
        forwarded = [OUR_HOST, JSON, b"X-Forwarded-For: " + text.encode()]
        assert (await say(rig, request("POST", PATH, *forwarded, body=b"{}"), PROXY)).status in (400, 401)
    signed = list(hostile_bodies())
    rig.train([request_id for request_id, _ in signed])
    for hostile in signed:
        assert (await deliver(rig, hostile)).status == 200
    await over(rig, [request_id for request_id, _ in signed])
    for name, count in before.items():
        lines_now = log_lines(rig, name)
        assert len(lines_now) > count
        for line in lines_now:
            assert {"ts", "level", "event", "logger"} <= line.keys()
            assert re.fullmatch(r"[a-z_]+\.[a-z_]+", line["event"]) or line["logger"].startswith("uvicorn")
    console = (rig.folder / "stderr.log").read_text()
    assert UNSAFE.search(console.replace("\n", "")) is None
    assert "forged" not in [line.partition(" ")[0] for line in console.splitlines()]


async def test_no_stranger_speaks_to_the_terminal(rig: Rig) -> None:
    """What hostile deliveries left behind is shown by the command line without one raw control character (fault 44)."""
    request_id = bodies.job_id(1500)
    assert (await deliver(rig, (request_id, "".join(HOSTILE).encode()))).status == 200
    await over(rig, [request_id])
    environment = {"PYTHONPATH": str(ROOT), "DATABASE_URL": rig.database_url, "LOG_DIR": str(rig.folder / "cli")}
    for words in (["show", request_id], ["show", request_id, "--json"]):
        command = [sys.executable, "-m", "app.cli", "deliveries", *words]
        shown = await asyncio.to_thread(
            subprocess.run, command, env=environment, cwd=rig.folder, capture_output=True, check=True, timeout=60
        )
        assert request_id in shown.stdout.decode()
        assert "forged" in shown.stdout.decode()
        assert UNSAFE.search((shown.stdout + shown.stderr).decode().replace("\n", "")) is None


# --- the clock (fault 15)


@pytest.mark.skipif(FAKETIME is None, reason="needs faketime (apt install faketime)")
@pytest.mark.parametrize(("shift", "direction"), [("+301s", "fast"), pytest.param("-302s", "slow", marks=full_only)])
async def test_a_wrong_clock_is_named(
    rig: Rig, sqlite_template: Path, tmp_path: Path, shift: str, direction: str
) -> None:
    """A server whose clock is 301 s off refuses, says "clock" and by how much, and no age is negative (fault 15)."""
    database = shutil.copy(sqlite_template, tmp_path / "aisha.db")  # empty: a copy of a queue would be told twice
    wrong = Rig(tmp_path / "server", f"sqlite:///{database}", rig.outside)
    try:
        await wrong.start(LD_PRELOAD=str(FAKETIME), FAKETIME=shift)
        await until(
            lambda: any(line["event"] == "clock.skewed" for line in log_lines(wrong, "api_server.log")), within=20
        )
        answer = await deliver(wrong, job(8))
        assert (answer.status, answer.json()["code"]) == (401, "timestamp_outside_window")
        told = re.search(r"measured against fal's, this clock is (\d+) s (fast|slow)", answer.json()["detail"])
        assert told is not None
        assert (abs(int(told[1]) - 301) <= 2, told[2]) == (True, direction)
        [refused] = [line for line in log_lines(wrong, "webhook.log") if line["event"] == "delivery.refused"]
        assert refused["detail"] == answer.json()["detail"]
        status = (await say(wrong, request("GET", "/api/v1/webhook/status", OUR_HOST))).json()
        assert [name for name, value in status.items() if name.endswith("_seconds") and (value or 0) < 0] == []
    finally:
        await wrong.close()
