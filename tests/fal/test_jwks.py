import json
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey, VerifyKey

from app.fal.keys import KEY_LIMIT, parse_jwks
from app.fal.published import BODY_LIMIT
from app.fal.signature import matching_key, read_headers

GOOD = SigningKey(b"g" * 32).verify_key
SECOND = SigningKey(b"s" * 32).verify_key
PRIME = 2**255 - 19
ORDER_EIGHT = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")


def x(point: bytes, *, padded: bool = True) -> str:
    text = urlsafe_b64encode(point).decode()
    return text if padded else text.rstrip("=")


def entry(key: VerifyKey | bytes, **changes: Any) -> dict[str, object]:
    return {"kty": "OKP", "crv": "Ed25519", "kid": "k1", "use": "sig", "x": x(bytes(key)), **changes}


def jwks(*entries: object) -> bytes:
    return json.dumps({"keys": entries}).encode()


def test_two_live_keys() -> None:
    """fal's own shape, two padded keys without `alg`, gives both in order."""
    assert parse_jwks(jwks(entry(GOOD), entry(SECOND))) == (GOOD, SECOND)


def test_unpadded() -> None:
    """A key without base64 padding, as the RFC wants it, is read too."""
    assert parse_jwks(jwks(entry(GOOD, x=x(bytes(GOOD), padded=False)))) == (GOOD,)


def test_use_may_be_absent() -> None:
    """A key that names no use is a signature key."""
    plain = entry(GOOD)
    del plain["use"]
    assert parse_jwks(jwks(plain)) == (GOOD,)


def test_repeated_key() -> None:
    """A key listed twice is held once."""
    assert parse_jwks(jwks(entry(GOOD), entry(GOOD, kid="k2"))) == (GOOD,)


JUNK: list[object] = [
    None,
    7,
    "key",
    [],
    {},
    {"kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "sig"},
    entry(GOOD, crv="X25519"),
    entry(GOOD, crv="Ed448"),
    entry(GOOD, kty="EC"),
    entry(GOOD, use="enc"),
    entry(GOOD, alg="ES256"),
    entry(GOOD, x=None),
    entry(GOOD, x=5),
    entry(GOOD, x=""),
    entry(GOOD, x="not base64url!"),
    entry(GOOD, x=x(bytes(GOOD)[:31])),
    entry(GOOD, x=x(bytes(GOOD) + b"\0")),
    entry(GOOD, x="=" + x(bytes(GOOD))),
    entry(GOOD, x=x(bytes(GOOD)) + "\n"),
    entry(GOOD, x=x(b"\x02" + bytes(31))),
    entry(GOOD, kty=["OKP"], crv={"a": 1}),
]


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_junk_is_skipped(junk: object) -> None:
    """Fault 18: an entry that is no Ed25519 signature key is skipped and the good ones stay."""
    assert parse_jwks(jwks(junk, entry(SECOND), junk)) == (SECOND,)


LOW_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    (PRIME - 1).to_bytes(32, "little"),
    ORDER_EIGHT,
    ORDER_EIGHT[:31] + bytes([ORDER_EIGHT[31] | 0x80]),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
]
NOT_CANONICAL = [
    PRIME.to_bytes(32, "little"),
    (PRIME + 1).to_bytes(32, "little"),
    b"\xff" * 32,
    b"\x01" + bytes(30) + b"\x80",
    (PRIME - 1 + 2**255).to_bytes(32, "little"),
]


@pytest.mark.parametrize("point", LOW_ORDER + NOT_CANONICAL, ids=bytes.hex)
def test_poisoned_point(point: bytes) -> None:
    """Fault 18: a low-order or non-canonical point is dropped; a key made of it would verify forgeries."""
    assert parse_jwks(jwks(entry(point), entry(GOOD))) == (GOOD,)


@pytest.mark.parametrize("point", LOW_ORDER + NOT_CANONICAL, ids=bytes.hex)
def test_poisoned_set_verifies_nothing(point: bytes) -> None:
    """Fault 18: against a set of poisoned keys only, a forgery made for them does not verify."""
    digest = sha256(b"{}").hexdigest()
    forged = read_headers(
        [
            (b"x-fal-webhook-request-id", b"a"),
            (b"x-fal-webhook-user-id", b"b"),
            (b"x-fal-webhook-timestamp", b"1"),
            (b"x-fal-webhook-signature", (point + bytes(32)).hex().encode()),
        ]
    )
    assert forged is not None
    assert matching_key(forged, digest, parse_jwks(jwks(entry(point)))) is None
    assert matching_key(forged, digest, [VerifyKey(point)]) is None


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b'{"keys": {}}', b'{"keys": null}', b"{}", b"\xff\xfe"]
)
def test_no_set_at_all(body: bytes) -> None:
    """Fault 18: what is no JWKS gives no key and no exception."""
    assert parse_jwks(body) == ()


def test_too_many_keys() -> None:
    """Fault 18: at most 32 keys are taken, so that a huge set cannot make every delivery slow."""
    many = [entry(SigningKey(n.to_bytes(32, "big")).verify_key) for n in range(KEY_LIMIT + 8)]
    assert len(parse_jwks(jwks(*many))) == KEY_LIMIT


def test_too_large() -> None:
    """Fault 18: a set larger than 256 KiB is not read at all."""
    assert parse_jwks(jwks(entry(GOOD, note="x" * BODY_LIMIT))) == ()


@given(st.binary(max_size=300))
def test_any_bytes(body: bytes) -> None:
    """Fault 18: any bytes give keys or none, never an exception."""
    assert isinstance(parse_jwks(body), tuple)


@given(st.binary(min_size=32, max_size=32))
def test_any_point(point: bytes) -> None:
    """Fault 18: of any 32 bytes, a key is made unchanged or not at all."""
    assert parse_jwks(jwks(entry(point))) in ((), (VerifyKey(point),))
