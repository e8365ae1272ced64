"""The webhook's answers."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from hashlib import sha256

import orjson
import pytest
from pydantic import SecretStr

from app.db.engine import Database
from app.domain.errors import DatabaseUnavailable
from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.forgeries import Forgery, forge
from app.twins.signing import ACCOUNT, FOREIGN_ACCOUNT, sign
from tests.routers.conftest import FAL_ADDRESS, JSON, Serve, Served

pytestmark = pytest.mark.anyio

REQUEST_ID = bodies.job_id(1)
BODY = bodies.success(REQUEST_ID)


async def test_a_signed_delivery_is_stored_then_answered(served: Served) -> None:
    """200 with the request id, and the row holds the bytes."""
    answer = await served.deliver(REQUEST_ID, BODY)
    assert answer.status_code == 200
    assert answer.json() == {"status": "received", "request_id": REQUEST_ID}
    [row] = await served.rows()
    assert row["body"] == BODY


async def test_a_repeat_answers_the_same(served: Served) -> None:
    """fal may send twice: the second time nothing is new, and the answer is the same to the byte."""
    first = await served.deliver(REQUEST_ID, BODY)
    second = await served.deliver(REQUEST_ID, BODY)
    assert (second.status_code, second.content) == (200, first.content)
    [row] = await served.rows()
    assert row["repeats"] == 1


async def test_a_body_signed_again_is_a_repeat(served: Served) -> None:
    """fal signs every retry anew; the same body later is no other delivery (fault 22)."""
    now = int(time.time())
    answers = [await served.deliver(REQUEST_ID, BODY, at) for at in (now - 290, now, now + 200)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(200, answers[0].content)] * 3
    [row] = await served.rows()
    assert row["repeats"] == 2


REFUSALS = {
    Forgery.WRONG_KEY: (401, "signature_invalid"),
    Forgery.TAMPERED_BODY: (401, "signature_invalid"),
    Forgery.MALLEABLE: (401, "signature_invalid"),
    Forgery.LOW_ORDER: (401, "signature_invalid"),
    Forgery.NOT_HEX: (401, "signature_malformed"),
    Forgery.TRAILING_GARBAGE: (401, "signature_malformed"),
    Forgery.STALE_CLOCK: (401, "timestamp_outside_window"),
    Forgery.FUTURE_CLOCK: (401, "timestamp_outside_window"),
    Forgery.FOREIGN_ACCOUNT: (403, "account_foreign"),
    Forgery.UNSIGNED: (401, "signature_missing"),
}


async def test_a_forged_delivery_is_refused_and_not_stored(served: Served) -> None:
    """Each forgery has its status and code, and leaves no row (faults 19, 20, 22)."""
    for forgery, expected in REFUSALS.items():
        headers, body = forge(
            forgery, served.key, request_id=REQUEST_ID, user_id=ACCOUNT, timestamp=int(time.time()), body=BODY
        )
        answer = await served.post(body, headers)
        assert (answer.status_code, answer.json()["code"]) == expected, (forgery, expected)
        assert answer.headers["content-type"] == "application/problem+json", (forgery, expected)
        assert await served.rows() == [], (forgery, expected)


async def test_a_body_that_names_another_request_is_kept_and_applied_to_neither(served: Served) -> None:
    """fal did sign it, so the bytes are kept; the worker buries them (fault 21)."""
    headers, body = forge(
        Forgery.MISMATCHED_ID,
        served.key,
        request_id=REQUEST_ID,
        user_id=ACCOUNT,
        timestamp=int(time.time()),
        body=BODY,
    )
    assert (await served.post(body, headers)).status_code == 200
    [row] = await served.rows()
    assert row["body"] == body


HOSTILE = {
    "NaN": b'{"request_id": NaN}',
    "100,000 levels": b"[" * 100_000 + b"]" * 100_000,
    "bad UTF-8": b'{"request_id": "\xff\xfe"}',
    "UTF-16": '{"request_id": "r"}'.encode("utf-16"),
    "BOM": b"\xef\xbb\xbf{}",
    "NUL": b'{"request_id": "\x00"}',
    "escaped NUL": b'{"request_id": "\\u0000"}',
    "lone surrogate": b'{"request_id": "\\ud800"}',
    "huge integer": b'{"seed": ' + b"9" * 100_000 + b"}",
    "duplicate keys": b'{"status": "OK", "status": "ERROR"}',
    "empty": b"",
}


async def test_whatever_fal_signs_is_stored_verbatim(served: Served) -> None:
    """Bytes are judged after they are safe: no 500, nothing lost (fault 33)."""
    for name, body in HOSTILE.items():
        assert (await served.deliver(REQUEST_ID, body)).status_code == 200, name
    assert [row["body"] for row in await served.rows()] == list(HOSTILE.values())


async def test_hostile_bytes_without_a_signature_are_refused(served: Served) -> None:
    """An unsigned body is parsed for a probe only, and breaks nothing (fault 33)."""
    for body in HOSTILE.values():
        answer = await served.post(body)
        assert (answer.status_code, answer.json()["code"]) == (401, "signature_missing"), body


TIMESTAMPS = [
    "9" * 400,
    "1e9",
    "1_7",
    "1700000000.5",
    "１７００００００００",
    "-1",
    "+1",
    " 1",
    "",
    "0x10",
    "nan",
    "1 2",
]


async def test_an_absurd_timestamp_is_a_400(served: Served) -> None:
    """What is no number of seconds is refused before anything is computed with it (fault 34)."""
    for timestamp in TIMESTAMPS:
        headers = sign(served.key, REQUEST_ID, ACCOUNT, int(time.time()), BODY)
        raw = [
            (name.encode(), value.encode()) for name, value in headers.items() if not name.lower().endswith("timestamp")
        ]
        raw += [(b"Content-Type", b"application/json"), (b"X-Fal-Webhook-Timestamp", timestamp.encode())]
        answer = await served.http.post(PATH, content=BODY, headers=raw)
        assert 400 <= answer.status_code < 500, timestamp
        assert await served.rows() == [], timestamp


async def test_a_body_over_the_limit_is_a_413(served: Served) -> None:
    """2 MB are refused by their length, and the connection closes (fault 30)."""
    answer = await served.deliver(REQUEST_ID, b"x" * 2_000_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.headers["connection"] == "close"


async def test_a_body_without_a_length_is_counted(served: Served) -> None:
    """Chunked transfer does not get around the limit (fault 30)."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 65_536

    headers = sign(served.key, REQUEST_ID, ACCOUNT, int(time.time()), BODY)
    answer = await served.http.post(PATH, content=endless(), headers={**headers, "Content-Type": "application/json"})
    assert answer.status_code == 413


async def test_a_crowd_of_bodies_is_a_503(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the share of an address: 503, when to come again, closed; then the same delivery is taken (fault 30)."""
    monkeypatch.setattr("app.domain.quotas.MEMORY", 4096)
    async with serve(max_body_bytes=1024) as served:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"x" * 900
            begun.set()
            await go_on.wait()

        headers = {**JSON, **sign(served.key, REQUEST_ID, ACCOUNT, int(time.time()), b"x" * 900)}
        first = asyncio.create_task(served.http.post(PATH, content=slow(), headers=headers))
        await begun.wait()
        crowded = await served.deliver(REQUEST_ID, b"{}" * 100)
        assert (crowded.status_code, crowded.json()["code"]) == (503, "bodies_crowded")
        assert int(crowded.headers["retry-after"]) > 0
        assert crowded.headers["connection"] == "close"
        go_on.set()
        assert (await first).status_code == 200
        assert (await served.deliver(REQUEST_ID, b"{}" * 100)).status_code == 200
        assert [row["body"] for row in await served.rows()] == [b"x" * 900, b"{}" * 100]


async def test_a_probe_ends_within_4_kib(served: Served) -> None:
    """Of an unsigned body no more is kept than a probe needs: a larger one is no probe (fault 30)."""
    assert (await served.post(b'{"test": true' + b" " * 4000 + b"}")).status_code == 200
    answer = await served.post(b'{"test": true' + b" " * 5_000 + b"}")
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_missing")


async def test_any_content_encoding_is_a_415(served: Served) -> None:
    """Nothing is ever inflated (fault 32)."""
    for encoding in ["gzip", "br", "identity", "x-unknown"]:
        answer = await served.post(gzip.compress(b"0" * 10_000_000), {"Content-Encoding": encoding})
        assert (answer.status_code, answer.json()["code"]) == (415, "encoding_unsupported"), encoding


async def test_another_content_type_is_a_415(served: Served) -> None:
    """fal sends application/json; a browser's form cannot reach us."""
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""]:
        answer = await served.post(BODY, {"Content-Type": media_type})
        assert (answer.status_code, answer.json()["code"]) == (415, "media_type_unsupported"), media_type


async def test_a_charset_is_no_other_content_type(served: Served) -> None:
    """Parameters of application/json are taken."""
    answer = await served.post(b'{"test": true}', {"Content-Type": "Application/JSON; charset=utf-8"})
    assert answer.status_code == 200


async def test_another_path_is_a_404_and_never_a_redirect(served: Served) -> None:
    """A 3xx would end fal's delivery for good (fault 38)."""
    for path in [
        PATH + "/",
        "/api/v1/avatar",
        "/API/V1/avatar/status_update",
        "/" + PATH,
        PATH + "%2e",
        PATH.replace("/status", "%2Fstatus"),
        PATH.replace("_", "%5F"),
    ]:
        answer = await served.http.post(
            f"https://aibots.kz{path}", content=BODY, headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


async def test_another_method_is_a_405(served: Served) -> None:
    """With Allow, as HTTP wants it (fault 38)."""
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"]:
        answer = await served.http.request(method, PATH)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), method


@pytest.mark.parametrize("address", ["203.0.113.7", "::ffff:203.0.113.7", "2001:db8::1", "10.0.0.1", "unix", ""])
async def test_an_address_that_is_not_fals_is_a_403(serve: Serve, address: str) -> None:
    """With IP_FILTER=enforce a signed delivery from elsewhere is refused, and one from nowhere (fault 36)."""
    async with serve(address=address) as served:
        answer = await served.deliver(REQUEST_ID, BODY)
        assert (answer.status_code, answer.json()["code"]) == (403, "address_not_listed")


@pytest.mark.parametrize("mode", ["report", "off"])
async def test_the_filter_can_report_or_be_off(serve: Serve, mode: str) -> None:
    """The signature is the authority, the list a second lock."""
    async with serve(address="203.0.113.7", ip_filter=mode) as served:
        assert (await served.deliver(REQUEST_ID, BODY)).status_code == 200


async def test_the_age_of_the_address_list_is_shown(serve: Serve) -> None:
    """None while the list is the operator's own; seconds since the fetch once it is fal's."""
    async with serve(allowed_ips=("203.0.113.0/24",)) as served:
        assert (await served.http.get("/api/v1/webhook/status")).json()["address_list_age_seconds"] is None
    async with serve() as served, asyncio.timeout(20):
        while (age := (await served.http.get("/api/v1/webhook/status")).json()["address_list_age_seconds"]) is None:
            pass  # the first look is under way
        assert 0 <= age < 20


async def test_allowed_ips_replace_fals_list(serve: Serve) -> None:
    """What the operator lists is what counts."""
    async with serve(address="203.0.113.7", allowed_ips=("203.0.113.0/24",)) as served:
        assert (await served.deliver(REQUEST_ID, BODY)).status_code == 200
    async with serve(address=FAL_ADDRESS, allowed_ips=("203.0.113.0/24",)) as served:
        assert (await served.deliver(REQUEST_ID, BODY)).status_code == 403


async def test_without_a_pin_any_account_is_taken(serve: Serve) -> None:
    """FAL_USER_ID is what makes a foreign account foreign."""
    async with serve(fal_user_id=None) as served:
        headers = sign(served.key, REQUEST_ID, FOREIGN_ACCOUNT, int(time.time()), BODY)
        assert (await served.post(BODY, headers)).status_code == 200


async def test_without_keys_the_answer_is_503(serve: Serve) -> None:
    """What cannot be judged is not refused: fal comes again (fault 16)."""
    async with serve(fal_jwks_urls=("http://127.0.0.1:9/jwks.json",)) as served:
        answer = await served.deliver(REQUEST_ID, BODY)
        assert (answer.status_code, answer.json()["code"]) == (503, "keys_unavailable")
        assert int(answer.headers["retry-after"]) > 0


async def test_a_database_that_does_not_answer_is_503(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be stored is not acknowledged."""

    async def broken(_self: Database, *_: object) -> None:
        raise DatabaseUnavailable("disk full")

    monkeypatch.setattr(Database, "write", broken)
    answer = await served.deliver(REQUEST_ID, BODY)
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")


async def test_our_own_bug_is_503_and_never_500(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """fal comes again, and by then somebody may have mended it."""
    monkeypatch.setattr("app.routers.fal_webhook._kept_headers", lambda _: 1 / 0)
    answer = await served.deliver(REQUEST_ID, BODY)
    assert (answer.status_code, answer.json()["code"]) == (503, "internal_error")


@pytest.mark.parametrize(
    ("body", "request_id"),
    [
        (b'{"test": true}', None),
        (b'{"request_id": "test_123", "status": "completed"}', "test_123"),
        (b'{"request_id": "test-123", "status": "completed", "result": {"test": true}}', "test-123"),
    ],
)
async def test_the_owners_probes_are_answered_and_stored_nowhere(
    serve: Serve, body: bytes, request_id: str | None
) -> None:
    """The curls of the owner's page: 200, and what a real delivery would have met, from any address."""
    async with serve(address="203.0.113.7") as served:
        answer = await served.post(body)
        assert answer.status_code == 200
        checks = {
            "signature": "absent",
            "address": "not listed",
            "tls": "none",
            "keys": "present",
            "ip_filter": "enforce",
        }
        told = answer.json()
        del checks["keys"], told["checks"]["keys"]  # whether the keys were fetched by now is another matter
        assert told == {"status": "received", "test": True, "request_id": request_id, "checks": checks}
        assert await served.rows() == []


async def test_what_is_no_probe_is_unsigned(served: Served) -> None:
    """Only the two agreed forms are probes."""
    for body in [b'{"test": 1}', b'{"test": "true"}', b'{"request_id": "a-test"}', b'["test"]', b"null"]:
        assert (await served.post(body)).status_code == 401, body


async def test_an_echo_of_our_key_is_not_stored(serve: Serve) -> None:
    """A webhook's own payload is scrubbed before it is written; its digest stays that of what was signed (fault 63)."""
    key = "0f8fad5b-d9cb:canary-secret-part-of-it"
    async with serve(fal_api_key=SecretStr(key)) as served:
        request_id = bodies.job_id(9)
        body = orjson.dumps(
            {
                "request_id": request_id,
                "status": "ERROR",
                "payload": {"detail": [{"msg": f"header Key {key} refused", "type": "x", "loc": []}]},
            }
        )
        assert (await served.deliver(request_id, body)).status_code == 200
        [row] = await served.rows()
    assert b"canary-secret" not in row["body"]
    assert row["body_sha256"] == sha256(body).hexdigest()
