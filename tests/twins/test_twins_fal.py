"""The fal twin's JWKS, address list and queue answer as docs/fal.md says, and misbehave on request."""

import ssl
from collections.abc import AsyncIterator

import httpx2
import pytest

from app.twins import bodies
from app.twins.fal import JWKS_MODES, FalTwin
from app.twins.fal_queue import FalJob
from app.twins.faults import Instead, Slow
from app.twins.jwks import HUGE_BYTES, MANY_KEYS, POISONS

pytestmark = pytest.mark.anyio

NOW = 1_790_000_000
ID = bodies.job_id(1)


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default one reads every root certificate, per test
    async with httpx2.AsyncClient(verify=no_tls, timeout=5, trust_env=False) as http:
        yield http


class Naps(list[float]):
    """Sleeps in no time and remembers how long it should have taken, in seconds."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


async def test_jwks_and_address_list_are_served_and_counted(client: httpx2.AsyncClient) -> None:
    """The twin serves two keys and fal's address list, counts the fetches, and dates answers by its own clock."""
    twin = FalTwin(clock=lambda: NOW)
    async with twin.serve() as url:
        keys = await client.get(f"{url}/.well-known/jwks.json")
        meta = await client.get(f"{url}/v1/meta")
    assert keys.json() == {"keys": [key.jwk() for key in twin.keys]}
    assert len(meta.json()["webhook_ip_ranges"]) == 15
    assert keys.headers.get_list("date") == ["Mon, 21 Sep 2026 14:13:20 GMT"]
    assert (twin.jwks_fetches, [call.name for call in twin.calls]) == (1, ["jwks", "meta"])


@pytest.mark.parametrize("mode", sorted(set(JWKS_MODES) - {"hang"}))
async def test_every_jwks_mode_answers(mode: str, client: httpx2.AsyncClient) -> None:
    """Each mode gives what its name says, and "ok" heals all of them."""
    naps = Naps()
    twin = FalTwin(sleep=naps)
    async with twin.serve() as url:
        twin.set_jwks(mode)
        answer = await client.get(f"{url}/.well-known/jwks.json")
        twin.set_jwks("ok")
        healed = await client.get(f"{url}/.well-known/jwks.json")
    assert len(healed.json()["keys"]) == 2
    assert answer.status_code == {"down": 500, "redirect": 302}.get(mode, 200)
    assert naps == ([5.0] if mode == "slow" else [])
    if mode == "huge":
        assert len(answer.content) > HUGE_BYTES
    if mode == "many_keys":
        assert len(answer.json()["keys"]) > MANY_KEYS
    if mode in POISONS:
        assert answer.content != healed.content


async def test_a_hung_jwks_does_not_keep_the_twin_from_stopping(client: httpx2.AsyncClient) -> None:
    """A hung fetch times out at the client, stays unanswered in the log until released, and the twin still stops."""
    twin = FalTwin()
    async with twin.serve() as url:
        twin.set_jwks("hang")
        with pytest.raises(httpx2.ReadTimeout):
            await client.get(f"{url}/.well-known/jwks.json", timeout=0.05)
        assert [call.status for call in twin.calls] == [None]
    assert [call.status for call in twin.calls] == [503]


async def test_rotation_publishes_a_fresh_key_and_drops_the_oldest() -> None:
    """After rotate() the fresh key signs, and one of the two old ones is still published."""
    twin = FalTwin()
    old = list(twin.keys)
    fresh = twin.rotate()
    assert twin.keys == [fresh, old[0]]
    assert twin.key is fresh


async def test_the_queue_replays_success_failure_and_absence(client: httpx2.AsyncClient) -> None:
    """Result is the model's own answer; a failed job is COMPLETED without an error; the sub-path is no address."""
    twin = FalTwin(api_key="secret")
    done, failed, running = (bodies.job_id(number) for number in range(3))
    twin.succeed(done)
    twin.jobs[failed] = FalJob(status_code=422, body=b'{"detail": []}')
    twin.jobs[running] = FalJob("IN_QUEUE")
    base = "fal-ai/flux-lora-portrait-trainer"
    client.headers["authorization"] = "Key secret"
    async with twin.serve() as url:
        answers = {
            path: await client.get(f"{url}/{path}")
            for path in (
                f"{base}/requests/{done}",
                f"{base}/requests/{done}/status?logs=1",
                f"{base}/requests/{failed}",
                f"{base}/requests/{failed}/status",
                f"{base}/requests/{running}",
                f"{base}/requests/{running}/status",
                f"{base}/requests/{ID}x",
                f"{base}/fast/requests/{done}",
            )
        }
        del twin.jobs[done]
        gone = await client.get(f"{url}/{base}/requests/{done}")
        refused = await client.get(f"{url}/{base}/requests/{done}", headers={"authorization": "Bearer secret"})
    got = list(answers.values())
    assert [answer.status_code for answer in got] == [200, 200, 422, 200, 400, 202, 404, 405]
    assert (gone.status_code, refused.status_code) == (404, 401)
    assert got[0].json() == bodies.portrait(done)
    assert (got[1].json()["status"], got[1].json()["logs"]) == ("COMPLETED", [])
    assert "error" not in got[3].json()
    assert got[3].json()["logs"] is None
    assert got[5].json()["queue_position"] == 0
    assert got[1].json()["response_url"] == f"{url}/{base}/requests/{done}"
    assert twin.calls[0].request_id == done


async def test_queue_faults_hit_one_job_or_all(client: httpx2.AsyncClient) -> None:
    """A job's fault hits that job, the queue's hits all; slow answers are right answers."""
    naps = Naps()
    twin = FalTwin(sleep=naps)
    one, other = bodies.job_id(1), bodies.job_id(2)
    twin.jobs[one] = FalJob(fault=Instead(429, headers={"retry-after": "7"}))
    twin.jobs[other] = FalJob(error="gone wrong", error_type="internal_error", fault=Slow(9))
    async with twin.serve() as url:
        limited = await client.get(f"{url}/fal-ai/x/requests/{one}")
        slow = await client.get(f"{url}/fal-ai/x/requests/{other}/status")
        twin.queue_fault = Instead(503)
        down = await client.get(f"{url}/fal-ai/x/requests/{other}")
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    assert (slow.json()["error_type"], naps) == ("internal_error", [9])
    assert down.status_code == 503
