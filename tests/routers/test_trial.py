"""The kind `test` over HTTP: its own path, its own key, from this machine only."""

import hashlib
import time
from pathlib import Path

import httpx2
import orjson
import pytest

from app.fal import own_key
from app.flows.trial import PATH
from app.routers.fal_webhook import PATH as TRAINING
from app.twins.signing import ACCOUNT, sign
from tests.routers.conftest import JSON, Serve, Served

pytestmark = pytest.mark.anyio
LOOPBACK = "127.0.0.1"
BODY = orjson.dumps({"request_id": "test-1", "status": "OK", "payload": {}})


def own_headers(folder: Path, body: bytes = BODY) -> dict[str, str]:
    key = own_key.load(folder / own_key.FILE)
    return own_key.sign(key, "test-1", int(time.time()), hashlib.sha256(body).hexdigest())


async def post(served: Served, path: str, headers: dict[str, str]) -> httpx2.Response:
    return await served.http.post(path, content=BODY, headers={**JSON, **headers})


async def test_what_this_installation_signed_is_stored_as_a_test(serve: Serve, tmp_path: Path) -> None:
    """A delivery with our own key is accepted on the test path, and its row says which kind it is."""
    async with serve(address=LOOPBACK) as served:
        answer = await post(served, PATH, own_headers(tmp_path))
        assert (answer.status_code, answer.json()) == (200, {"status": "received", "request_id": "test-1"})
        assert [(row["kind"], row["request_id"]) for row in await served.rows()] == [("test", "test-1")]


async def test_our_own_key_proves_no_training(serve: Serve, tmp_path: Path) -> None:
    """The key of the installation, which stands on this machine's disk, opens nothing but the test path."""
    async with serve(address=LOOPBACK, fal_user_id=None) as served:
        answer = await post(served, TRAINING, own_headers(tmp_path))
        assert (answer.status_code, answer.json()["code"], await served.rows()) == (401, "signature_invalid", [])


async def test_fals_key_proves_no_test(serve: Serve) -> None:
    """What fal signed is no test of ours."""
    async with serve(address=LOOPBACK) as served:
        answer = await post(served, PATH, sign(served.key, "test-1", ACCOUNT, int(time.time()), BODY))
        assert (answer.status_code, answer.json()["code"], await served.rows()) == (401, "signature_invalid", [])


@pytest.mark.parametrize("address", ["34.123.59.101", "203.0.113.9"])
@pytest.mark.parametrize("ip_filter", ["off", "enforce"])
async def test_nobody_outside_may_try(serve: Serve, tmp_path: Path, address: str, ip_filter: str) -> None:
    """Another machine's test is refused even with the right key, fal's addresses and IP_FILTER=off included."""
    async with serve(address=address, ip_filter=ip_filter) as served:
        answer = await post(served, PATH, own_headers(tmp_path))
        assert (answer.status_code, answer.json()["code"], await served.rows()) == (403, "address_not_listed", [])


async def test_the_bot_registers_no_tests(serve: Serve) -> None:
    """A test is no job of fal's: POST /api/v1/jobs does not know the kind."""
    token = "t" * 32
    async with serve(api_token=token) as served:
        body = {"request_id": "test-1", "kind": "test", "endpoint": "fal-ai/flux"}
        answer = await served.http.post("/api/v1/jobs", json=body, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 400
