"""Deliveries that a receiver must refuse, each wrong in exactly one way."""

from enum import StrEnum
from typing import Final

from app.twins import bodies
from app.twins.signing import FOREIGN_ACCOUNT, SIGNATURE_HEADER, FalKey, sign

STALE_SECONDS: Final = 301  # fal's tolerance is 300 s both ways, docs/fal.md
GROUP_ORDER: Final = 2**252 + 27742317777372353535851937790883648493  # L of Ed25519

LOW_ORDER_SIGNATURE: Final = "01" + "00" * 63  # R = identity, S = 0


class Forgery(StrEnum):
    """What is wrong with the delivery."""

    WRONG_KEY = "wrong_key"
    TAMPERED_BODY = "tampered_body"
    STALE_CLOCK = "stale_clock"
    FUTURE_CLOCK = "future_clock"
    FOREIGN_ACCOUNT = "foreign_account"  # really signed by fal, for somebody else
    MISMATCHED_ID = "mismatched_id"  # really signed by fal, but the body names another request
    UNSIGNED = "unsigned"
    NOT_HEX = "not_hex"
    TRAILING_GARBAGE = "trailing_garbage"
    MALLEABLE = "malleable"  # S + L: the same signature to a verifier that does not reduce
    LOW_ORDER = "low_order"  # R = identity, S = 0: valid under a poisoned key only


def forge(
    forgery: Forgery, key: FalKey, *, request_id: str, user_id: str, timestamp: int, body: bytes
) -> tuple[dict[str, str], bytes]:
    """Return `(headers, body)` of the forged delivery; without the forgery it would be accepted at `timestamp`."""
    match forgery:
        case Forgery.WRONG_KEY:
            return sign(FalKey.generate(), request_id, user_id, timestamp, body), body
        case Forgery.STALE_CLOCK:
            return sign(key, request_id, user_id, timestamp - STALE_SECONDS, body), body
        case Forgery.FUTURE_CLOCK:
            # One second more: the receiver's clock may tick between here and there.
            return sign(key, request_id, user_id, timestamp + STALE_SECONDS + 1, body), body
        case Forgery.FOREIGN_ACCOUNT:
            return sign(key, request_id, FOREIGN_ACCOUNT, timestamp, body), body
        case Forgery.MISMATCHED_ID:
            other = bodies.success(bodies.job_id(-1))
            return sign(key, request_id, user_id, timestamp, other), other
        case Forgery.UNSIGNED:
            return {}, body
        case Forgery.TAMPERED_BODY:
            tampered = body.replace(b"v3.fal.media", b"evil.example") + b" "
            return sign(key, request_id, user_id, timestamp, body), tampered
        case _:
            headers = sign(key, request_id, user_id, timestamp, body)
            return {**headers, SIGNATURE_HEADER: _spoiled(forgery, headers[SIGNATURE_HEADER])}, body


def _spoiled(forgery: Forgery, signature: str) -> str:
    match forgery:
        case Forgery.NOT_HEX:
            return "z" * len(signature)
        case Forgery.TRAILING_GARBAGE:
            return signature + "00"
        case Forgery.MALLEABLE:
            scalar = int.from_bytes(bytes.fromhex(signature[64:]), "little") + GROUP_ORDER
            return signature[:64] + scalar.to_bytes(32, "little").hex()
        case _:
            return LOW_ORDER_SIGNATURE
