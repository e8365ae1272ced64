"""What the fal twin signs is proven with another library; and the twins as a program."""

import base64
import hashlib
import json
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import orjson
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from app.twins import bodies
from app.twins.fal import FalTwin
from app.twins.forgeries import Forgery, forge
from app.twins.jwks import LOW_ORDER_POINTS
from app.twins.signing import ACCOUNT, FalKey, load_or_create_keys, sign
from app.twins.telegram import TelegramTwin

pytestmark = pytest.mark.anyio

NOW = 1_790_000_000
ID = bodies.job_id(1)
TOKEN = "123456:planted-token"


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default one reads every root certificate, per test
    async with httpx2.AsyncClient(verify=no_tls, timeout=5, trust_env=False) as http:
        yield http


def verified(public: bytes, headers: dict[str, str], body: bytes) -> bool:
    """Verify with another library than the one that signed, from the words of docs/fal.md."""
    names = ("Request-Id", "User-Id", "Timestamp")
    lines = [headers[f"X-Fal-Webhook-{name}"] for name in names] + [hashlib.sha256(body).hexdigest()]
    try:
        signature = bytes.fromhex(headers["X-Fal-Webhook-Signature"])
        Ed25519PublicKey.from_public_bytes(public).verify(signature, "\n".join(lines).encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def test_an_independent_library_accepts_the_signature() -> None:
    """What the twin signs verifies with cryptography under the published JWK, and only for that body."""
    key, body = FalKey.generate(), bodies.success(ID)
    headers = sign(key, ID, ACCOUNT, NOW, body)
    public = base64.urlsafe_b64decode(key.jwk()["x"])
    assert verified(public, headers, body)
    assert not verified(public, headers, body + b" ")
    assert len(headers["X-Fal-Webhook-Signature"]) == 128
    assert headers["X-Fal-Webhook-Signature"].islower() or headers["X-Fal-Webhook-Signature"].isdigit()


def test_the_jwk_is_padded_as_fal_s_is_or_not_as_asked() -> None:
    """The JWK has fal's members, no alg, and an x of 44 characters, or the RFC's 43."""
    jwk = FalKey.generate().jwk()
    assert set(jwk) == {"kty", "crv", "kid", "x", "use"}
    assert (len(jwk["x"]), jwk["x"][-1]) == (44, "=")
    assert len(FalKey.generate().jwk(padded=False)["x"]) == 43


def test_another_process_can_sign_from_the_key_file(tmp_path: Path) -> None:
    """The key file is private, and loading it twice gives the same keys and kids."""
    path = tmp_path / "keys"
    first, again = load_or_create_keys(path), load_or_create_keys(path)
    assert [key.jwk() for key in first] == [key.jwk() for key in again]
    assert len(first) == 2
    assert path.stat().st_mode & 0o777 == 0o600


def test_bodies_have_fal_s_bytes() -> None:
    """Every shape is JSON with sorted keys and spaced separators, and `error` is present as null on success."""
    shapes = [
        bodies.success(ID),
        bodies.success(ID, {"finetune_id": "ё"}),
        bodies.validation_failure(ID),
        bodies.infra_failure(ID),
        bodies.unserialised_success(ID),
        bodies.unserialised_failure(ID),
    ]
    for body in shapes:
        assert json.dumps(json.loads(body), sort_keys=True).encode() == body
    assert orjson.loads(shapes[0])["error"] is None
    assert isinstance(orjson.loads(shapes[2])["payload"]["detail"], list)
    assert isinstance(orjson.loads(shapes[3])["payload"]["detail"], str)
    assert (orjson.loads(shapes[4])["status"], orjson.loads(shapes[4])["payload"]) == ("OK", None)
    assert (orjson.loads(shapes[5])["status"], orjson.loads(shapes[5])["payload"]) == ("ERROR", None)


@pytest.mark.parametrize("forgery", Forgery)
def test_a_forgery_is_wrong_in_the_way_it_says(forgery: Forgery) -> None:
    """Only forgeries about account, clock and id carry a signature that verifies."""
    key, body = FalKey.generate(), bodies.success(ID)
    headers, sent = forge(forgery, key, request_id=ID, user_id=ACCOUNT, timestamp=NOW, body=body)
    if forgery is Forgery.UNSIGNED:
        assert headers == {}
        return
    really_signed = {
        Forgery.STALE_CLOCK,
        Forgery.FUTURE_CLOCK,
        Forgery.FOREIGN_ACCOUNT,
        Forgery.MISMATCHED_ID,
    }
    assert verified(key.public, headers, sent) is (forgery in really_signed)
    wrong = {
        Forgery.STALE_CLOCK: int(headers["X-Fal-Webhook-Timestamp"]) < NOW - 300,
        Forgery.FUTURE_CLOCK: int(headers["X-Fal-Webhook-Timestamp"]) > NOW + 300,
        Forgery.FOREIGN_ACCOUNT: headers["X-Fal-Webhook-User-Id"] != ACCOUNT,
        Forgery.MISMATCHED_ID: orjson.loads(sent)["request_id"] != headers["X-Fal-Webhook-Request-Id"],
    }
    assert wrong.get(forgery, True)


def test_a_low_order_key_would_verify_anything() -> None:
    """The poisoned points are no mere junk: under the identity, one signature fits every message."""
    key = Ed25519PublicKey.from_public_bytes(LOW_ORDER_POINTS[0])
    key.verify(bytes.fromhex("01" + "00" * 63), b"anything")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Both twins as a process of their own, in which a warning is an error."""
    command = [sys.executable, "-W", "error", "-m", "app.twins", "--keys", str(tmp_path / "keys")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_the_twins_run_as_a_program_and_tell_their_logs(
    program: subprocess.Popen[bytes], client: httpx2.AsyncClient
) -> None:
    """`python -m app.twins` says in one JSON line where it listens, tells its logs, and ends cleanly on SIGTERM."""
    assert program.stdout is not None
    assert program.stderr is not None
    ready = orjson.loads(program.stdout.readline())
    fal, telegram = ready["fal"], ready["telegram"]
    served = await client.get(f"{fal}/.well-known/jwks.json")
    lost = await client.get(f"{fal}/fal-ai/x/requests/{ID}")
    await client.post(f"{telegram}/bot{TOKEN}/sendMessage", data={"chat_id": 5, "text": "hi"})
    fal_log = (await client.get(f"{fal}/_twin/log")).json()
    telegram_log = (await client.get(f"{telegram}/_twin/log")).json()
    program.send_signal(signal.SIGTERM)
    code = program.wait(10)
    keys = load_or_create_keys(Path(ready["keys"]))
    assert served.json() == {"keys": [key.jwk() for key in keys]}
    assert [(call["name"], call["status"]) for call in fal_log["calls"]] == [("jwks", 200), ("result", 404)]
    assert (lost.status_code, fal_log["calls"][1]["request_id"]) == (404, ID)
    assert [call["status"] for call in telegram_log["calls"]] == [200]
    assert telegram_log["messages"][0]["text"] == "hi"
    assert (code, program.stderr.read()) == (0, b"")


async def test_a_taken_port_is_an_error() -> None:
    """Serving on a port in use raises OSError instead of ending the program."""
    twin = FalTwin()
    async with twin.serve() as url:
        with pytest.raises(OSError, match="in use"):
            async with TelegramTwin().serve(int(url.rsplit(":", 1)[1])):
                pass
