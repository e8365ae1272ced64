"""JWKS documents: the right one, and those that no receiver may fall for."""

import base64
from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

from app.twins.signing import FalKey

LOW_ORDER_POINTS: Final = (
    bytes.fromhex("01" + "00" * 31),  # the identity: S = 0 with R = identity "verifies" any message
    bytes(32),
    bytes.fromhex("ec" + "ff" * 30 + "7f"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
)
HUGE_BYTES: Final = 10 * 1024 * 1024
MANY_KEYS: Final = 100_000

_JUNK: Final[tuple[Any, ...]] = (None, 1, "key", [], {}, {"kty": "OKP"}, {"kty": "OKP", "crv": "Ed25519", "x": 7})


def document(keys: Iterable[FalKey], *, padded: bool = True) -> bytes:
    """Return the set as fal serves it."""
    return _set(key.jwk(padded=padded) for key in keys)


def poisoned(name: str, good: Sequence[FalKey]) -> bytes:
    """Return the poisoned set called `name` (one of POISONS). Raises KeyError for another name.

    Where the set still is one, it also holds the good keys, last: they must stay in use.
    """
    keys = [key.jwk() for key in good]
    match name:
        case "many_keys":
            return _set([FalKey(index.to_bytes(32, "big")).jwk() for index in range(64)] * (MANY_KEYS // 64 + 1) + keys)
        case "huge":
            return orjson.dumps({"padding": "x" * HUGE_BYTES, "keys": keys})
        case "unpadded":
            return document(good, padded=False)
    if name in _BROKEN:
        return _BROKEN[name]
    return _set([*_BAD_ENTRIES[name], *keys])


def _set(keys: Iterable[Any]) -> bytes:
    return orjson.dumps({"keys": list(keys)})


def _okp(public: bytes, **more: str) -> dict[str, str]:
    x = base64.urlsafe_b64encode(public).decode()
    return {"crv": "Ed25519", "kid": f"bad-{x[:8]}", "kty": "OKP", "use": "sig", "x": x, **more}


_BAD_ENTRIES: Final[dict[str, tuple[Any, ...]]] = {
    "junk": _JUNK,
    "rsa": ({"kty": "RSA", "kid": "rsa", "use": "sig", "n": "AQAB" * 86, "e": "AQAB"},),
    "x25519": (_okp(FalKey(bytes(32)).public, crv="X25519", use="enc"),),
    "low_order": tuple(_okp(point) for point in LOW_ORDER_POINTS),
    "short_x": (_okp(b"short"), _okp(bytes(31)), _okp(bytes(33))),
    "bad_base64": (_okp(bytes(32), x="***not base64***"), _okp(bytes(32), x="é" * 44)),
    "wrong_use": (_okp(FalKey(b"\x01" * 32).public, use="enc"),),
}
_BROKEN: Final[dict[str, bytes]] = {
    "not_json": b"<html>maintenance</html>",
    "not_utf8": b'{"keys": ["\xff\xfe"]}',
    "not_object": b'["keys"]',
    "no_keys": b"{}",
    "keys_not_list": b'{"keys": {"0": {}}}',
    "empty": b'{"keys": []}',
    "only_low_order": _set(_okp(point) for point in LOW_ORDER_POINTS),
}
POISONS: Final = (*_BAD_ENTRIES, *_BROKEN, "unpadded", "many_keys", "huge")
