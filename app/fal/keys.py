"""fal's public keys: read from a JWKS that may hold anything, never trusted for longer than a day.

Source: fal webhooks docs (no longer than 24 h); two captured key sets (docs/fal.md).
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import orjson
import structlog
from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.signing import VerifyKey

from app.fal.published import BODY_LIMIT, CachedDocument

Key = VerifyKey

MAX_AGE = timedelta(hours=24)
MIN_INTERVAL = timedelta(seconds=30)  # between two fetches that a delivery causes
FRESH = timedelta(minutes=5)  # keys this young are taken for fal's latest
FETCH_SECONDS = 3.0  # for one URL; two of them still leave time to answer fal within 10 s
KEY_LIMIT = 32

_X = re.compile(r"[A-Za-z0-9_-]{43}={0,4}")  # 32 bytes in base64url; fal pads, the RFC does not

_log = structlog.get_logger(__name__)


def parse_jwks(body: bytes) -> tuple[Key, ...]:
    """Pick the Ed25519 signature keys out of a JWKS; whatever else it holds is skipped, nothing raises.

    Only points of the prime-order group in their canonical form are taken: with a low-order point in the list,
    signatures could be made that fit any message.
    """
    if len(body) > BODY_LIMIT:
        return ()
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ()
    entries = document.get("keys") if isinstance(document, dict) else None
    keys: dict[bytes, Key] = {}
    for entry in entries if isinstance(entries, list) else ():
        if len(keys) == KEY_LIMIT:
            break
        point = _point(entry)
        if point is not None and point not in keys and crypto_core_ed25519_is_valid_point(point):
            keys[point] = VerifyKey(point)
    return tuple(keys.values())


def _point(entry: object) -> bytes | None:
    if not isinstance(entry, dict) or entry.get("kty") != "OKP" or entry.get("crv") != "Ed25519":
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", "EdDSA") not in ("EdDSA", "Ed25519"):
        return None
    x = entry.get("x")
    if not isinstance(x, str) or _X.fullmatch(x) is None:
        return None
    return urlsafe_b64decode(x.rstrip("=") + "=")


class Keys(CachedDocument[Key]):
    """The keys a delivery may be signed with. A signature that fits no key never takes keys away."""

    max_age = MAX_AGE
    min_interval = MIN_INTERVAL
    fetch_seconds = FETCH_SECONDS
    unusable = "no_usable_key"

    def may_be_outdated(self) -> bool:
        """Tell whether fal may have other keys by now: the last fetch failed, and these are older than five minutes."""
        age = self.age()
        return self._has_failed and (age is None or age > FRESH)

    def clock_offset(self) -> timedelta | None:
        """Tell by how much our clock is ahead of fal's (negative: behind); None before fal's first answer."""
        return self.skew.offset()

    def prefer(self, key: Key) -> None:
        """Put the key that just fitted first: fal keeps two live, and a try in vain doubles the cost of a delivery."""
        if self._entries and self._entries[0] is not key and key in self._entries:
            self._entries = (key, *(other for other in self._entries if other != key))

    def _parse(self, body: bytes) -> tuple[Key, ...]:
        return parse_jwks(body)

    def _written(self, entries: Iterable[Key]) -> dict[str, Any]:
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "x": _encoded(key)} for key in entries]}

    def _log_refreshed(self, host: str | None, entries: int, *, changed: bool) -> None:
        _log.info("keys.refreshed", host=host, keys=entries, changed=changed)

    def _log_refresh_failed(self, host: str | None, why: str, status: int | None) -> None:
        _log.warning("keys.refresh_failed", host=host, why=why, status=status)

    def _log_copy_ignored(self, why: str) -> None:
        _log.warning("keys.copy_ignored", why=why)

    def _log_copy_not_written(self, why: str) -> None:
        _log.warning("keys.copy_not_written", why=why)


def _encoded(key: Key) -> str:
    return urlsafe_b64encode(bytes(key)).rstrip(b"=").decode()
