"""POST /api/v1/jobs: what the bot may put on record, and what it may not."""

from typing import Any

import httpx2
import pytest

from app.db.engine import open_database
from app.db.tables import jobs
from tests.routers.conftest import Serve, Served

pytestmark = pytest.mark.anyio

TOKEN = "t" * 40
GOOD = {"request_id": "r1", "kind": "training", "endpoint": "fal-ai/flux-lora-portrait-trainer"}


async def post(served: Served, body: Any, token: str | None = TOKEN, **headers: str) -> httpx2.Response:
    bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
    return await served.http.post("/api/v1/jobs", json=body, headers={**bearer, **headers})


async def row(served: Served) -> dict[str, Any]:
    database = open_database(served.database_url)
    try:
        with database.engine.connect().execution_options(write=False) as connection:
            return {str(name): value for name, value in connection.execute(jobs.select()).mappings().one().items()}
    finally:
        await database.close()


async def test_a_job_is_registered_once(serve: Serve) -> None:
    """201 for a new one, 200 for the same again, 409 for other fields; the first stands."""
    async with serve(api_token=TOKEN) as served:
        answers = [await post(served, GOOD), await post(served, GOOD), await post(served, {**GOOD, "steps": 5})]
        assert [answer.status_code for answer in answers] == [201, 200, 409]
        assert answers[0].json() == {"request_id": "r1", "status": "registered"}
        assert answers[2].json()["code"] == "job_differs"
        assert (await row(served))["endpoint_source"] == "registered"


async def test_a_closed_api_says_so(serve: Serve) -> None:
    """Without API_TOKEN nobody may ask, whatever they send."""
    async with serve() as served:
        answer = await post(served, GOOD)
        assert (answer.status_code, answer.json()["code"]) == (403, "api_closed")


@pytest.mark.parametrize("token", [None, "", "x" * 40, TOKEN[:-1], "Bearer"])
async def test_a_wrong_token_is_refused(serve: Serve, token: str | None) -> None:
    """401 with the challenge; the body is not even read."""
    async with serve(api_token=TOKEN) as served:
        answer = await post(served, GOOD, token)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_wrong")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_guessing_is_rationed(serve: Serve) -> None:
    """After twenty wrong tokens from one address further ones are 429; the right one still passes."""
    async with serve(api_token=TOKEN) as served:
        codes = [(await post(served, GOOD, "wrong")).status_code for _ in range(22)]
        assert codes == [401] * 20 + [429] * 2
        assert (await post(served, GOOD)).status_code == 201


@pytest.mark.parametrize(
    "changes",
    [
        [
            {"request_id": ""},
            {"request_id": "a b"},
            {"request_id": "r" * 256},
            {"request_id": 7},
            {"endpoint": "fal-ai"},
            {"endpoint": "Fal-ai/x"},
            {"endpoint": "fal-ai/../x"},
            {"endpoint": "fal-ai/x/y/z/u/v"},
            {"endpoint": "fal-ai/x?y"},
            {"steps": 0},
            {"steps": "7"},
            {"more": 1},
        ]
    ],
)
async def test_a_malformed_registration_is_named_not_repeated(serve: Serve, changes: list[dict[str, Any]]) -> None:
    """400 says which field is wrong; its value is not in the answer."""
    async with serve(api_token=TOKEN) as served:
        for change in changes:
            answer = await post(served, {**GOOD, **change})
            assert (answer.status_code, answer.json()["code"]) == (400, "malformed"), change
            [name] = change
            assert name in answer.json()["detail"], change


async def test_fals_key_goes_to_no_other_origin(serve: Serve) -> None:
    """A URL of another host, scheme or port, or with a user name, is refused: the key would travel there."""
    async with serve(api_token=TOKEN, fal_queue_url="https://queue.fal.run") as served:
        for url in (
            "https://evil.example/r1/status",
            "http://queue.fal.run/r1/status",
            "https://queue.fal.run:444/r1/status",
            "https://key@queue.fal.run/r1/status",
            "https://queue.fal.run.evil.example/r1",
            "https://queue.fal.run@evil.example/r1",
        ):
            for name in ("status_url", "response_url"):
                answer = await post(served, {**GOOD, name: url})
                assert (answer.status_code, answer.json()["code"]) == (400, "foreign_url"), url
        right = {"status_url": "https://queue.fal.run/fal-ai/flux-lora-portrait-trainer/requests/r1/status"}
        assert (await post(served, {**GOOD, **right})).status_code == 201


async def test_the_owner_of_a_training_comes_from_its_row(serve: Serve) -> None:
    """chat_id and language of a training are refused."""
    async with serve(api_token=TOKEN) as served:
        for more in ({"chat_id": 5}, {"language": "ru"}):
            answer = await post(served, {**GOOD, **more})
            assert (answer.status_code, answer.json()["code"]) == (400, "owner_from_row")


async def test_odd_bodies_are_refused_in_order(serve: Serve) -> None:
    """No JSON, another media type, a body that is too large: 400, 415, 413, and nothing is stored."""
    async with serve(api_token=TOKEN) as served:
        auth = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        sent = [
            (b"{", auth, 400),
            (b"[]", auth, 400),
            (b"\xff", auth, 400),
            (b"{}", {**auth, "Content-Type": "text/plain"}, 415),
            (b" " * 70_000, auth, 413),
        ]
        for body, headers, status in sent:
            answer = await served.http.post("/api/v1/jobs", content=body, headers=headers)
            assert answer.status_code == status, body[:5]


GENERATION = {"request_id": "g1", "kind": "generation", "endpoint": "fal-ai/flux-lora", "chat_id": 99}


async def test_a_generation_names_its_chat(serve: Serve) -> None:
    """Without a chat, or with one that the bot does not know, nobody could be told: 400, and nothing is on record."""
    async with serve(api_token=TOKEN, operator_chat_id=99) as served:
        without = {name: value for name, value in GENERATION.items() if name != "chat_id"}
        for body, code in ((without, "chat_missing"), ({**GENERATION, "chat_id": 5}, "chat_unknown")):
            answer = await post(served, body)
            assert (answer.status_code, answer.json()["code"]) == (400, code)
        assert (await post(served, GENERATION)).status_code == 201


async def test_a_generation_is_registered_with_chat_and_language(serve: Serve) -> None:
    """Both are kept; another chat for the same request id is another job."""
    async with serve(api_token=TOKEN, operator_chat_id=99) as served:
        body = {**GENERATION, "language": "kk", "subject_id": "0b5e3b9c"}
        answers = [await post(served, body), await post(served, body), await post(served, {**body, "language": "en"})]
        assert [answer.status_code for answer in answers] == [201, 200, 409]
        kept = await row(served)
        names = ("kind", "chat_id", "language", "subject")
        assert [kept[name] for name in names] == ["generation", 99, "kk", "0b5e3b9c"]


@pytest.mark.parametrize("change", [{"language": "k" * 17}, {"language": "к"}, {"chat_id": "99"}, {"chat_id": True}])
async def test_a_malformed_generation_is_refused(serve: Serve, change: dict[str, Any]) -> None:
    """A language is an IETF tag of at most 16 characters, a chat a number."""
    async with serve(api_token=TOKEN, operator_chat_id=99) as served:
        answer = await post(served, {**GENERATION, **change})
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
