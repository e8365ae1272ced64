"""The signature of a delivery: who says they sent these bytes, when, and whether it is true. Pure.

Source: fal webhooks docs, and eight captured deliveries (docs/fal.md).
"""

from binascii import Error as NotHex
from binascii import unhexlify
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from app.domain.errors import DeliveryRefused

REQUEST_ID = b"x-fal-webhook-request-id"
USER_ID = b"x-fal-webhook-user-id"
TIMESTAMP = b"x-fal-webhook-timestamp"
SIGNATURE = b"x-fal-webhook-signature"
SIGNED_HEADERS = (REQUEST_ID, USER_ID, TIMESTAMP, SIGNATURE)

CLOCK_TOLERANCE = 300  # seconds either way
MEASURED_TO = 2.0  # seconds; a clock no further from fal's than this counts as right
ID_LIMIT = 255  # characters
TIMESTAMP_DIGITS = 12
SIGNATURE_DIGITS = 128  # hex


@dataclass(frozen=True, slots=True)
class SignedHeaders:
    r"""The four headers of a signed delivery.

    `timestamp` is in Unix seconds, `signature` has 64 bytes. `prefix` is `request_id\nuser_id\ntimestamp\n` from the
    bytes as received: the signed text is the prefix and the lower-case hex SHA-256 of the raw body.
    """

    request_id: str
    user_id: str
    timestamp: int
    signature: bytes
    prefix: bytes

    @property
    def timestamp_text(self) -> str:
        """The timestamp as it was signed, zeros before it included."""
        return self.prefix.split(b"\n")[2].decode()


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> SignedHeaders | None:
    """Read fal's four headers from ASGI's list; None when none of them is there (an unsigned probe).

    Raises DeliveryRefused: 401 `signature_missing`, 400 `header_malformed`, 401 `signature_malformed`.
    """
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in SIGNED_HEADERS:
            if lower in found:
                raise DeliveryRefused(400, "header_malformed", f"{lower.decode()} is there twice")
            found[lower] = value
    if not found:
        return None
    missing = [name.decode() for name in SIGNED_HEADERS if name not in found]
    if missing:
        raise DeliveryRefused(401, "signature_missing", f"not signed: {', '.join(missing)} missing")
    request_id, user_id, timestamp = found[REQUEST_ID], found[USER_ID], found[TIMESTAMP]
    return SignedHeaders(
        _identifier(REQUEST_ID, request_id),
        _identifier(USER_ID, user_id),
        _seconds(timestamp),
        _signature(found[SIGNATURE]),
        b"%b\n%b\n%b\n" % (request_id, user_id, timestamp),
    )


def _unmeasured() -> None:
    return None


def check_clock(
    signed: SignedHeaders, now_seconds: float, clock_ahead: Callable[[], timedelta | None] = _unmeasured
) -> None:
    """Refuse what was signed more than 300 s before or after `now_seconds` (Unix time).

    fal signs every retry anew, so only a replay or a wrong clock comes here; `clock_ahead`, which says how far our
    clock is ahead of fal's if that was measured, tells the reader which of them. Raises DeliveryRefused 401
    `timestamp_outside_window`.
    """
    ahead = signed.timestamp - now_seconds
    if -CLOCK_TOLERANCE <= ahead <= CLOCK_TOLERANCE:
        return
    direction = "ahead of" if ahead > 0 else "behind"
    raise DeliveryRefused(
        401,
        "timestamp_outside_window",
        f"the signature's time is {abs(ahead):.0f} s {direction} this server's clock; {CLOCK_TOLERANCE} s are allowed"
        f"{_measured(clock_ahead())}",
    )


def _measured(clock_ahead: timedelta | None) -> str:
    if clock_ahead is None:
        return ""
    seconds = clock_ahead.total_seconds()
    if abs(seconds) <= MEASURED_TO:
        return "; measured against fal's, this clock is right"
    return f"; measured against fal's, this clock is {abs(seconds):.0f} s {'fast' if seconds > 0 else 'slow'}"


def matching_key(signed: SignedHeaders, body_sha256_hex: str, keys: Sequence[VerifyKey]) -> VerifyKey | None:
    """Return the first key that signed these headers and the body with this lower-case hex SHA-256, None if none did.

    A delivery carries no key id, so each is tried.
    The order is worth having right: a key in vain costs as much as a key that fits.
    """
    signed_message = signed.signature + signed.prefix + body_sha256_hex.encode()
    return next((key for key in keys if is_signed_by(key, signed_message)), None)


def is_signed_by(key: VerifyKey, signed_message: bytes) -> bool:
    """Tell whether `signed_message`, 64 bytes of signature and the text, was signed by this key."""
    try:
        # Pure Ed25519. libsodium refuses S >= L and low-order points by itself.
        crypto_sign_open(signed_message, bytes(key))
    except BadSignatureError:
        return False
    return True


def _identifier(name: bytes, value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise DeliveryRefused(400, "header_malformed", f"{name.decode()} is not UTF-8") from None
    if not text or not text.isprintable():
        raise DeliveryRefused(400, "header_malformed", f"{name.decode()} is empty or holds control characters")
    if len(text) > ID_LIMIT:
        raise DeliveryRefused(400, "header_malformed", f"{name.decode()} is longer than {ID_LIMIT} characters")
    return text


def _seconds(value: bytes) -> int:
    # bytes.isdigit knows ASCII digits only; int() alone takes signs, spaces, underscores and every script's digits.
    if len(value) > TIMESTAMP_DIGITS or not value.isdigit():
        raise DeliveryRefused(
            400, "header_malformed", f"{TIMESTAMP.decode()} is not 1 to {TIMESTAMP_DIGITS} decimal digits"
        )
    return int(value)


def _signature(value: bytes) -> bytes:
    if len(value) == SIGNATURE_DIGITS:
        try:
            return unhexlify(value)
        except NotHex:
            pass
    raise DeliveryRefused(401, "signature_malformed", f"{SIGNATURE.decode()} is not {SIGNATURE_DIGITS} hex characters")
