"""Deliveries that miss the webhook, by their Host or by a letter of the path: refused, logged, counted."""

import time

import pytest
from structlog.testing import capture_logs

from app.domain.quotas import LINES
from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.signing import ACCOUNT, sign
from tests.routers.conftest import FAL_ADDRESS, JSON, Serve, Served

pytestmark = pytest.mark.anyio

TUNNEL = "1a2b-203-0-113-7.ngrok-free.app"
NEAR = [
    f"{PATH}/",
    f"/{PATH}",
    PATH.replace("/avatar", "//avatar"),
    PATH.upper(),
    PATH.replace("avatar", "Avatar"),
    f"/fal{PATH}",
    "/status_update",
    f"{PATH}%20",
    f"{PATH}%2F",
    PATH.replace("_", "%5F"),
    PATH.replace("/avatar", "%2Favatar"),
]
FAR = ["/", "/wp-login.php", "/api/v1/avatar", f"{PATH}x", f"{PATH}/x"]


def signed(served: Served) -> dict[str, str]:
    """The headers of a genuine delivery of BODY."""
    return {**JSON, **sign(served.key, "job-1", ACCOUNT, int(time.time()), BODY)}


BODY = bodies.success("job-1")


async def test_a_delivery_by_a_tunnels_name_is_told(served: Served) -> None:
    """A signed delivery whose Host is not in ALLOWED_HOSTS: 400, one line that names the host and the setting."""
    with capture_logs() as events:
        answer = await served.http.post(PATH, content=BODY, headers={**signed(served), "Host": TUNNEL})
    assert (answer.status_code, answer.json()["code"]) == (400, "host_not_allowed")
    [told] = [event for event in events if event["event"] == "delivery.refused"]
    assert (told["code"], told["status"], told["address"]) == ("host_not_allowed", 400, FAL_ADDRESS)
    assert TUNNEL in told["detail"]
    assert "ALLOWED_HOSTS" in told["detail"]
    assert await served.rows() == []


async def test_two_hosts_are_told_without_either(served: Served) -> None:
    """Where the Host header is there twice, neither is taken for the one that was meant (fault 37)."""
    with capture_logs() as events:
        await served.http.post(PATH, content=BODY, headers=[("Host", "a.example"), ("Host", "b.example")])
    [told] = [event for event in events if event["event"] == "delivery.refused"]
    assert "no single host" in told["detail"]


@pytest.mark.parametrize("path", NEAR)
async def test_a_near_miss_is_told(served: Served, path: str) -> None:
    """A POST that misses the path by a slash, a case, an escape or a prefix: 404, never 3xx, and a line (fault 38)."""
    with capture_logs() as events:
        answer = await served.http.post(path, content=BODY, headers=signed(served))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    [told] = [event for event in events if event["event"] == "delivery.refused"]
    assert (told["code"], told["status"], told["address"]) == ("not_found", 404, FAL_ADDRESS)


async def test_a_strangers_path_is_not_told(served: Served) -> None:
    """What scanners ask for was not meant for the webhook, by whatever Host."""
    for path in FAR:
        with capture_logs() as events:
            await served.http.post(path, content=b"{}")
            await served.http.get(path, headers={"Host": "evil.example"})
            await served.http.get(f"{PATH}/")
        assert [event for event in events if event["event"] == "delivery.refused"] == [], path


async def test_refusals_are_rationed_and_counted(serve: Serve) -> None:
    """Ten lines a minute for one address, as for every other refusal; the status counts all of them (fault 61)."""
    async with serve() as served:
        with capture_logs() as events:
            for _ in range(LINES + 5):
                await served.http.post(PATH, content=BODY, headers={"Host": "evil.example"})
            await served.http.get(PATH)
        assert sum(event["event"] == "delivery.refused" for event in events) == LINES
        told = (await served.http.get("/api/v1/webhook/status")).json()
    assert told["refused"] == LINES + 5 + 1
