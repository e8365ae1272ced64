from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from app.domain.errors import DeliveryRefused
from app.fal.signature import SignedHeaders, check_clock, matching_key, read_headers

FAL = SigningKey(b"f" * 32)
OTHER = SigningKey(b"o" * 32)
BODY = b'{"error": null, "payload": {}, "request_id": "019a", "status": "OK"}'
DIGEST = sha256(BODY).hexdigest()
NOW = 1_790_000_000
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
NAMES = (
    b"x-fal-webhook-request-id",
    b"x-fal-webhook-user-id",
    b"x-fal-webhook-timestamp",
    b"x-fal-webhook-signature",
)


def headers(key: SigningKey = FAL, **changes: bytes) -> list[tuple[bytes, bytes]]:
    request_id = changes.get("request_id", b"019a-aa")
    user_id = changes.get("user_id", b"github|179462")
    timestamp = changes.get("timestamp", b"1790000000")
    signature = changes.get("signature")
    if signature is None:
        text = b"\n".join((request_id, user_id, timestamp, DIGEST.encode()))
        signature = key.sign(text).signature.hex().encode()
    values = (request_id, user_id, timestamp, signature)
    return [(b"host", b"aibots.kz"), *zip(NAMES, values, strict=True), (b"content-type", b"application/json")]


def signed(**changes: Any) -> SignedHeaders:
    found = read_headers(headers(**changes))
    assert found is not None
    return found


def refusal(items: list[tuple[bytes, bytes]]) -> tuple[int, str]:
    with pytest.raises(DeliveryRefused) as caught:
        read_headers(items)
    return caught.value.status, caught.value.code


def test_genuine_delivery() -> None:
    """What fal signs is read as sent and verifies."""
    found = signed()
    assert (found.request_id, found.user_id, found.timestamp) == ("019a-aa", "github|179462", NOW)
    assert found.prefix == b"019a-aa\ngithub|179462\n1790000000\n"
    assert matching_key(found, DIGEST, [FAL.verify_key]) is not None


def test_every_key_is_tried() -> None:
    """A delivery names no key, so each live key is tried and the one that fits is told."""
    keys = [OTHER.verify_key, FAL.verify_key]
    assert matching_key(signed(), DIGEST, keys) == FAL.verify_key


def test_header_names_in_any_case() -> None:
    """Header names are compared without case."""
    found = read_headers([(name.upper(), value) for name, value in headers()])
    assert found is not None
    assert matching_key(found, DIGEST, [FAL.verify_key]) is not None


def test_upper_case_hex() -> None:
    """The signature's hex digits may be of either case."""
    raw = headers()[4][1]
    assert matching_key(signed(signature=raw.upper()), DIGEST, [FAL.verify_key]) is not None


def test_utf8_account() -> None:
    """An account id beyond ASCII is signed as UTF-8."""
    assert matching_key(signed(user_id="қазақ|1".encode()), DIGEST, [FAL.verify_key]) is not None


def test_no_keys() -> None:
    """Without keys nothing verifies."""
    assert matching_key(signed(), DIGEST, []) is None


def test_wrong_key() -> None:
    """Fault 19: a signature by another key does not verify."""
    assert matching_key(signed(key=OTHER), DIGEST, [FAL.verify_key]) is None


@pytest.mark.parametrize("part", ["request_id", "user_id", "timestamp"])
def test_every_part_is_signed(part: str) -> None:
    """Fault 19: a changed header breaks the signature."""
    raw = headers()[4][1]
    changed = {"request_id": b"019a-ab", "user_id": b"github|179463", "timestamp": b"1790000001"}[part]
    assert matching_key(signed(signature=raw, **{part: changed}), DIGEST, [FAL.verify_key]) is None


def test_changed_body() -> None:
    """Fault 19: a changed body breaks the signature."""
    assert matching_key(signed(), sha256(BODY + b" ").hexdigest(), [FAL.verify_key]) is None


def test_malleable_signature() -> None:
    """Fault 19: S + L, which naive verifiers take for the same signature, is refused."""
    raw = signed().signature
    scalar = int.from_bytes(raw[32:], "little") + GROUP_ORDER
    twisted = raw[:32] + scalar.to_bytes(32, "little")
    assert matching_key(signed(signature=twisted.hex().encode()), DIGEST, [FAL.verify_key]) is None


@pytest.mark.parametrize("point", [b"\x01" + bytes(31), bytes(32), b"\xec" + b"\xff" * 30 + b"\x7f"])
def test_low_order_signature(point: bytes) -> None:
    """Fault 19: a signature whose R is of low order and whose S is zero fits nothing."""
    raw = (point + bytes(32)).hex().encode()
    assert matching_key(signed(signature=raw), DIGEST, [FAL.verify_key]) is None


def test_unsigned_probe() -> None:
    """A call without any of fal's headers is an unsigned probe, not a refusal."""
    assert read_headers([(b"host", b"aibots.kz")]) is None


@pytest.mark.parametrize("name", NAMES)
def test_missing_header(name: bytes) -> None:
    """Each of the four headers is required, and the answer names the missing one."""
    items = [item for item in headers() if item[0] != name]
    with pytest.raises(DeliveryRefused, match=name.decode()) as caught:
        read_headers(items)
    assert (caught.value.status, caught.value.code) == (401, "signature_missing")


@pytest.mark.parametrize("name", NAMES)
def test_repeated_header(name: bytes) -> None:
    """A header that is there twice is malformed: which one is signed would be a guess."""
    assert refusal([*headers(), (name, b"1")]) == (400, "header_malformed")


@pytest.mark.parametrize("part", ["request_id", "user_id"])
@pytest.mark.parametrize("value", [b"", b"\xff", b"a\nb", b"a\x00", b"a\x1b[31m", "a\u202eb".encode(), b"a" * 256])
def test_malformed_identifier(part: str, value: bytes) -> None:
    """An id that is empty, no UTF-8, unprintable or longer than 255 characters is malformed."""
    assert refusal(headers(FAL, **{part: value})) == (400, "header_malformed")


def test_longest_identifier() -> None:
    """An id of exactly 255 characters is read."""
    assert signed(request_id=b"a" * 255).request_id == "a" * 255


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"9" * 400,
        b"1e9",
        b"1_7",
        b"1790000000.0",
        b"+1790000000",
        b"-1790000000",
        b" 1790000000",
        b"1790000000 ",
        b"0x6ab13b80",
        "１７９０００００００".encode(),
        b"9999999999999",
        b"nan",
        b"1790000000,1790000000",
        "²".encode(),
    ],
)
def test_absurd_timestamp(value: bytes) -> None:
    """Fault 34: a timestamp is 1 to 12 ASCII digits, or the headers are malformed."""
    assert refusal(headers(timestamp=value)) == (400, "header_malformed")


@pytest.mark.parametrize(
    "value",
    [b"", b"ab", b"g" * 128, b"a" * 127, b"a" * 129, b"a" * 130, b" " + b"a" * 127, b"0x" + b"a" * 126, b"\xff" * 128],
)
def test_malformed_signature(value: bytes) -> None:
    """Fault 19: a signature is exactly 128 hex characters, without anything before or after."""
    assert refusal(headers(signature=value)) == (401, "signature_malformed")


@pytest.mark.parametrize("offset", [-300, -299.9, 0, 300])
def test_clock_within_window(offset: float) -> None:
    """Fault 22: up to 300 s of difference either way are accepted."""
    check_clock(signed(), NOW + offset)


@pytest.mark.parametrize(
    ("offset", "words"),
    [(301, "301 s behind"), (-301, "301 s ahead of"), (-86400, "86400 s ahead of"), (300.6, "behind")],
)
def test_clock_outside_window(offset: float, words: str) -> None:
    """Faults 15 and 22: beyond 300 s the refusal says how far apart the clocks are, and which way."""
    with pytest.raises(DeliveryRefused, match=words) as caught:
        check_clock(signed(), NOW + offset)
    assert (caught.value.status, caught.value.code) == (401, "timestamp_outside_window")
    assert "clock" in caught.value.detail


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=200)), max_size=6))
def test_any_bytes_in_headers(items: list[tuple[bytes, bytes]]) -> None:
    """Fault 34: any bytes in fal's headers give a value or a refusal, nothing else."""
    found: SignedHeaders | DeliveryRefused | None
    try:
        found = read_headers(items)
    except DeliveryRefused as refused:
        found = refused
    match found:
        case DeliveryRefused():
            assert found.status in (400, 401)
            assert found.detail.isprintable()
        case SignedHeaders():
            assert len(found.signature) == 64
        case None:
            assert items == []


@given(st.binary(max_size=260), st.binary(max_size=260), st.binary(max_size=14), st.binary(min_size=126, max_size=130))
def test_any_bytes_in_all_four_headers(request_id: bytes, user_id: bytes, timestamp: bytes, signature: bytes) -> None:
    """Fault 34: four headers of any bytes give a value that is safe to store, or a refusal."""
    try:
        found = read_headers(zip(NAMES, (request_id, user_id, timestamp, signature), strict=True))
    except DeliveryRefused:
        return
    assert found is not None
    assert found.request_id.isprintable()
    assert 0 <= found.timestamp < 10**12
    assert matching_key(found, DIGEST, [FAL.verify_key]) is None
