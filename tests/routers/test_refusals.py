"""Why something was not taken: counted by reason, the last ones kept, each with a sentence."""

import logging

import pytest

from app.domain.refusal_words import sentence
from app.domain.refusals import Refusal, Refusals
from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.signing import ACCOUNT, sign
from tests.fakes import START
from tests.routers.conftest import Serve

pytestmark = pytest.mark.anyio

HERE = "127.0.0.1"
TOKEN = "m" * 32


async def test_the_status_tells_refusals_by_their_reason(serve: Serve) -> None:
    """The public status names each code and how often, and neither an address nor a request id."""
    async with serve() as served:
        request_id = bodies.job_id(1)
        await served.deliver(request_id, bodies.success(request_id), timestamp=1)
        await served.post(b"{}")
        answer = await served.http.get("/api/v1/webhook/status")
    assert answer.json()["refused_for"] == [
        {"reason": "signature_missing", "times": 1},
        {"reason": "timestamp_outside_window", "times": 1},
    ]
    assert request_id not in answer.text


async def test_the_last_refusals_are_told_in_words(serve: Serve) -> None:
    """The newest first: code, status, address, the id that the caller named, what was met, and a plain sentence."""
    async with serve(address=HERE) as served:
        request_id = bodies.job_id(1)
        await served.deliver(request_id, bodies.success(request_id), timestamp=1)
        await served.http.get(PATH)
        answer = (await served.http.get("/api/v1/webhook/refusals")).json()
    newest, oldest = answer["last"]
    assert (newest["code"], newest["status"]) == ("method_not_allowed", 405)
    assert newest["why"] == "Вебхук принимает только POST."
    assert (oldest["code"], oldest["address"], oldest["request_id"]) == ("timestamp_outside_window", HERE, request_id)
    assert answer["refused"] == {"method_not_allowed": 1, "timestamp_outside_window": 1}


async def test_a_refusal_keeps_no_body_and_no_signature(serve: Serve) -> None:
    """Neither the body nor the signature of what was refused stands anywhere in the answer."""
    async with serve(address=HERE) as served:
        body = b'{"request_id": "r1", "prompt": "geheim"}'
        headers = sign(served.key, "r1", ACCOUNT, 1, body)
        await served.post(body, headers)
        told = (await served.http.get("/api/v1/webhook/refusals")).text
    assert "geheim" not in told
    assert headers["X-Fal-Webhook-Signature"] not in told


async def test_an_id_that_is_no_plain_word_is_not_repeated(serve: Serve) -> None:
    """What a stranger writes into the id's header is told only where it needs no escape."""
    async with serve(address=HERE) as served:
        body = bodies.success("r1")
        headers = sign(served.key, "r1", ACCOUNT, 1, body) | {"X-Fal-Webhook-Request-Id": "<b>r1</b>"}
        await served.post(body, headers)
        [refusal] = (await served.http.get("/api/v1/webhook/refusals")).json()["last"]
    assert refusal["request_id"] is None


async def test_strangers_do_not_read_refusals(serve: Serve) -> None:
    """The list has addresses in it, so it is the operator's, by the rule of /metrics."""
    async with serve(metrics_token=TOKEN) as served:
        assert (await served.http.get("/api/v1/webhook/refusals")).status_code == 401
    async with serve() as served:
        assert (await served.http.get("/api/v1/webhook/refusals")).status_code == 403


async def test_a_flood_of_one_address_does_not_push_others_out(serve: Serve) -> None:
    """Of one address ten in a minute are kept, as many as the log has lines; all are counted."""
    logging.disable(logging.CRITICAL)
    try:
        async with serve(address=HERE) as served:
            for _ in range(30):
                await served.post(b"{}")
            answer = (await served.http.get("/api/v1/webhook/refusals")).json()
    finally:
        logging.disable(logging.NOTSET)
    assert (len(answer["last"]), answer["refused"]) == (10, {"signature_missing": 30})


def test_beyond_its_limit_the_oldest_is_forgotten() -> None:
    """The ring holds as many as it is told to, the newest first."""
    ring = Refusals(kept=2)
    for code in ("one", "two", "three"):
        ring.add(Refusal(START, code, 400, None, ""))
    assert [refusal.code for refusal in ring.recent()] == ["three", "two"]


def test_a_code_without_words_is_told_by_its_name() -> None:
    """What a newer part of the server refuses is shown all the same."""
    assert sentence("novel_code") == "The request was not taken: {code}."
