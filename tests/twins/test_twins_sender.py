"""The fal twin's sender posts, retries and gives up as docs/fal.md says."""

import ssl
from collections.abc import Mapping
from pathlib import Path

import httpx2
import pytest
import trustme
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.http_client.failures import HttpFailed
from app.twins import bodies
from app.twins.fal import FalTwin
from app.twins.faults import Hang
from app.twins.forgeries import Forgery
from app.twins.sender import FalSender, retry_gaps
from app.twins.serving import serve
from app.twins.signing import ACCOUNT, FalKey, sign

pytestmark = pytest.mark.anyio

NOW = 1_790_000_000
ID = bodies.job_id(1)


class Receiver:
    """A webhook endpoint that answers with programmed statuses, the last of them for ever; 0 never answers."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.app = Starlette(routes=[Route("/hook", self.receive, methods=["POST"])])

    async def receive(self, request: Request) -> Response:
        self.seen.append((dict(request.headers), await request.body()))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == 0:
            raise HttpFailed("ConnectError")
        return Response(status_code=status, headers={"location": "/elsewhere"} if status // 100 == 3 else None)

    async def transport(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Ask the endpoint without a network, as FalSender would over one."""
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app)) as client:
            request = httpx2.Request("POST", "https://aibots.kz/hook", headers=dict(headers), content=body)
            response = await client.send(request)
        return response.status_code, response.content


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = float(NOW)
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def sender(receiver: Receiver, time: Time, key: FalKey, speed: float = 1) -> FalSender:
    return FalSender(
        "https://aibots.kz/hook",
        key,
        transport=receiver.transport,
        clock=time.clock,
        sleep=time.sleep,
        speed=speed,
    )


def test_the_retry_schedule_is_fal_s() -> None:
    """Gaps start as observed, then grow; they fill at most an hour, or six minutes from 10 KB on, 31 at most."""
    small, large = retry_gaps(563), retry_gaps(10 * 1024)
    assert small[:6] == (2, 39, 75, 55, 190, 340)
    assert list(small[6:]) == sorted(small[6:])
    assert 3600 * 0.5 < sum(small) <= 3600
    assert sum(large) <= 360
    assert len(small) <= 31


async def test_the_first_attempt_has_fal_s_headers_and_no_user_agent() -> None:
    """A first attempt carries exactly the captured headers."""
    receiver, key = Receiver(200), FalKey.generate()
    async with sender(receiver, Time(), key) as fal:
        record = await fal.deliver(ID, bodies.success(ID))
    headers, body = receiver.seen[0]
    assert record.acknowledged
    assert body == record.body
    assert set(headers) == {
        "host",
        "accept",
        "accept-encoding",
        "content-type",
        "content-length",
        "x-fal-webhook-request-id",
        "x-fal-webhook-user-id",
        "x-fal-webhook-timestamp",
        "x-fal-webhook-signature",
    }
    assert (headers["accept"], headers["content-type"]) == ("*/*", "application/json")
    assert headers["content-length"] == str(len(body))


async def test_retries_are_signed_afresh_and_name_httpx() -> None:
    """After 4xx, 5xx and network errors fal retries on schedule with a fresh timestamp and tracing headers."""
    receiver, time, key = Receiver(401, 503, 0, 200), Time(), FalKey.generate()
    async with sender(receiver, time, key) as fal:
        record = await fal.deliver(ID, bodies.success(ID))
    assert record.statuses == [401, 503, None, 200]
    assert record.attempts[2].error == "ConnectError"
    assert time.slept == [2, 39, 75]
    stamps = [int(attempt.headers["X-Fal-Webhook-Timestamp"]) for attempt in record.attempts]
    assert stamps == [NOW, NOW + 2, NOW + 41, NOW + 116]
    for attempt, stamp in zip(record.attempts, stamps, strict=True):
        assert attempt.headers.items() >= sign(key, ID, ACCOUNT, stamp, record.body).items()
    assert receiver.seen[1][0]["user-agent"] == "python-httpx/0.27.0"
    assert {"traceparent", "tracestate", "x-datadog-trace-id"} <= set(receiver.seen[1][0])


async def test_a_redirect_ends_delivery_for_good() -> None:
    """A 3xx is neither followed nor retried, and not an acknowledgement."""
    receiver, time = Receiver(307), Time()
    async with sender(receiver, time, FalKey.generate()) as fal:
        record = await fal.deliver(ID, bodies.success(ID))
    assert (record.statuses, record.acknowledged, time.slept) == ([307], False, [])


async def test_fal_gives_up_within_the_hour() -> None:
    """Against an endpoint that always fails, the attempts end with the schedule; speed divides each wait."""
    receiver, time = Receiver(503), Time()
    async with sender(receiver, time, FalKey.generate(), speed=100) as fal:
        record = await fal.deliver(ID, bodies.success(ID))
    gaps = retry_gaps(len(record.body))
    assert len(record.attempts) == len(gaps) + 1
    assert time.slept == [pytest.approx(gap / 100) for gap in gaps]


async def test_an_answer_that_never_comes_is_a_timeout() -> None:
    """An attempt without an answer is logged as such and does not raise."""
    twin = FalTwin()
    twin.jwks_fault = Hang()
    async with (
        twin.serve() as url,
        FalSender(f"{url}/.well-known/jwks.json", twin.key, first_timeout=0) as fal,
    ):
        attempt = await fal.post(ID, bodies.success(ID))
    assert (attempt.status, attempt.error) == (None, "no answer within 0 s")


async def test_replay_sends_the_old_bytes_and_the_old_timestamp() -> None:
    """A replay repeats headers and body of the last attempt, while post() signs afresh; the log keeps all."""
    receiver, time = Receiver(200), Time()
    async with sender(receiver, time, FalKey.generate()) as fal:
        record = await fal.deliver(ID, bodies.success(ID))
        time.now += 301
        replayed, again = await fal.replay(record), await fal.post(ID, record.body)
        await fal.forged(Forgery.UNSIGNED, ID, record.body)
    assert replayed.headers == record.attempts[0].headers
    assert int(again.headers["X-Fal-Webhook-Timestamp"]) == NOW + 301
    assert [entry.kind for entry in fal.log] == ["delivery", "replay", "delivery", "unsigned"]


async def test_many_deliveries_keep_their_order() -> None:
    """deliver_all() returns one record per job, in the order given."""
    receiver = Receiver(200)
    jobs = [(bodies.job_id(number), bodies.success(bodies.job_id(number))) for number in range(20)]
    async with sender(receiver, Time(), FalKey.generate()) as fal:
        records = await fal.deliver_all(jobs, at_once=5)
    assert [record.request_id for record in records] == [name for name, _ in jobs]
    assert all(record.acknowledged for record in records)


@pytest.mark.parametrize("host", ["aibots.kz", "10.0.0.1", "localhost.evil.example"])
def test_the_sender_refuses_targets_beyond_loopback(host: str) -> None:
    """Without a transport of its own, the sender only takes loopback targets."""
    with pytest.raises(ValueError, match="loopback only"):
        FalSender(f"https://{host}/hook", FalKey.generate())


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
async def test_the_sender_takes_loopback_targets(host: str) -> None:
    """Loopback by address or name is a target."""
    async with FalSender(f"http://{host}:1/hook", FalKey.generate()) as fal:
        assert fal.log == []


async def test_tls_is_verified_by_the_ca_under_the_server_s_name(tmp_path: Path) -> None:
    """With the CA file the delivery passes under the real name; without it, it is a network error; off, it passes."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("aibots.kz").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    receiver = Receiver(200)
    key, body = FalKey.generate(), bodies.success(ID)
    async with serve(receiver.app, tls=context) as url:
        target = f"{url}/hook"
        async with FalSender(target, key, ca_file=ca_file, server_name="aibots.kz") as fal:
            trusted = await fal.post(ID, body)
        async with FalSender(target, key, server_name="aibots.kz") as fal:
            unknown = await fal.post(ID, body)
        async with FalSender(target, key, verify_tls=False) as fal:
            unverified = await fal.post(ID, body)
    assert url.startswith("https://127.0.0.1:")
    assert (trusted.status, unknown.error, unverified.status) == (200, "CertificateError", 200)
    assert receiver.seen[0][0]["host"] == "aibots.kz"
