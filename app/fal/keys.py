"""fal's public keys: read from a JWKS that may hold anything, kept on disk, never trusted for longer than a day.

Source: fal webhooks docs (no longer than 24 h); two captured key sets (docs/fal.md).
"""

import asyncio
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import orjson
import structlog
from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.signing import VerifyKey

from app.fal.client import FetchFailed, get_capped, host_of, read_copy, write_copy
from app.fal.skew import Skew

Key = VerifyKey

MAX_AGE = timedelta(hours=24)
MIN_INTERVAL = timedelta(seconds=30)  # between two fetches that a delivery causes
FRESH = timedelta(minutes=5)  # keys this young are taken for fal's latest
CLOCK_SLACK = timedelta(minutes=5)  # how far ahead the disk copy's date may be
FETCH_SECONDS = 3.0  # for one URL; two of them still leave time to answer fal within 10 s
BODY_LIMIT = 256 * 1024  # bytes
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


class Keys:
    """The keys a delivery may be signed with, and how they are renewed.

    `urls` are tried in order. `clock` gives the time in UTC, timezone-aware. A failed fetch, and a signature that
    fits no key, never take away keys that are younger than a day. Every answer also tells fal's time to `skew`, which
    may be shared.
    """

    def __init__(
        self,
        urls: Sequence[str],
        cache_file: Path,
        client: httpx2.AsyncClient,
        clock: Callable[[], datetime],
        *,
        skew: Skew | None = None,
    ) -> None:
        self.skew = skew or Skew(clock)
        self._urls = tuple(urls)
        self._cache_file = cache_file
        self._client = client
        self._clock = clock
        self._keys: tuple[Key, ...] = ()
        self._fetched_at: datetime | None = None
        self._limited_from: datetime | None = None
        self._fetching = asyncio.Lock()
        self._fetches = 0  # finished ones
        self._succeeded = False  # the last finished one

    def current(self) -> tuple[Key, ...]:
        """Return the keys to verify with; empty when there are none younger than 24 h."""
        age = self.age()
        return self._keys if age is not None and age <= MAX_AGE else ()

    def age(self) -> timedelta | None:
        """Tell how long ago the keys were fetched; None without keys. Never negative."""
        if self._fetched_at is None:
            return None
        now = self._clock()
        # After the clock stepped back the keys would not age until it caught up: count from here instead.
        self._fetched_at = min(self._fetched_at, now)
        return now - self._fetched_at

    def may_be_outdated(self) -> bool:
        """Tell whether fal may have other keys by now: the last fetch failed, and these are older than five minutes."""
        age = self.age()
        return self._fetches > 0 and not self._succeeded and (age is None or age > FRESH)

    def clock_offset(self) -> timedelta | None:
        """Tell by how much our clock is ahead of fal's (negative: behind); None before fal's first answer."""
        return self.skew.offset()

    def prefer(self, key: Key) -> None:
        """Put the key that just fitted first: fal keeps two live, and a try in vain doubles the cost of a delivery."""
        if self._keys and self._keys[0] is not key and key in self._keys:
            self._keys = (key, *(other for other in self._keys if other != key))

    async def load(self) -> None:
        """Take the keys from the disk copy, if it is there and sound. To be called once, before the first refresh."""
        try:
            copy = await read_copy(self._cache_file, BODY_LIMIT)
        except (OSError, ValueError) as damage:
            _log.warning("keys.copy_ignored", why=type(damage).__name__)
            return
        self._take_copy(copy)

    def _take_copy(self, copy: tuple[datetime, bytes] | None) -> None:
        if copy is None:
            return
        fetched_at, body = copy
        keys = parse_jwks(body)
        if not keys or fetched_at > self._clock() + CLOCK_SLACK:
            _log.warning("keys.copy_ignored", why="fetched_in_future" if keys else "no_usable_key")
            return
        self._keys, self._fetched_at = keys, fetched_at

    async def refresh(self) -> bool:
        """Fetch now, or wait for the fetch under way; tell whether it brought keys."""
        seen = self._fetches
        async with self._fetching:
            return self._succeeded if self._fetches != seen else await self._fetch()

    async def refresh_after_failure(self, interval: timedelta = MIN_INTERVAL) -> bool:
        """Fetch because a signature fits no key: at most once in `interval`, however many deliveries ask.

        Callers during a fetch wait for it; the others return at once. True when the set of keys is another one now,
        so that verifying again makes sense. A failed `refresh` counts too, a successful one does not: fal may change
        its keys right after it.
        """
        before, seen = frozenset(self._keys), self._fetches
        async with self._fetching:
            if self._fetches == seen and not self._is_limited(interval):
                self._limited_from = self._clock()
                await self._fetch()
            return frozenset(self._keys) != before

    async def ensure(self) -> bool:
        """Fetch when there is no key at hand, as rarely as `refresh_after_failure`; tell whether there is one now."""
        if not self.current() and await self.refresh_after_failure():
            # These are the first keys, not a second look at them: fal may change them right after.
            self._limited_from = None
        return bool(self.current())

    def _is_limited(self, interval: timedelta) -> bool:
        # A negative difference means that the clock stepped back, not that the last fetch was just now.
        return self._limited_from is not None and timedelta(0) <= self._clock() - self._limited_from < interval

    async def _fetch(self) -> bool:
        started = self._clock()
        self._succeeded = await self._fetch_any()
        self._fetches += 1
        if not self._succeeded:
            self._limited_from = started
        return self._succeeded

    async def _fetch_any(self) -> bool:
        for url in self._urls:
            host = host_of(url)
            try:
                status, body = await get_capped(
                    self._client, url, BODY_LIMIT, deadline_seconds=FETCH_SECONDS, on_headers=self.skew.timing(host)
                )
            except FetchFailed as failure:
                _log.warning("keys.refresh_failed", host=host, why=failure.why)
                continue
            keys = parse_jwks(body) if status == httpx2.codes.OK else ()
            if not keys:
                why = "no_usable_key" if status == httpx2.codes.OK else "status"
                _log.warning("keys.refresh_failed", host=host, why=why, status=status)
                continue
            await self._adopt(keys, host)
            return True
        return False

    async def _adopt(self, keys: tuple[Key, ...], host: str | None) -> None:
        changed = frozenset(keys) != frozenset(self._keys)
        if changed:
            self._keys = keys  # an unchanged set keeps the order that `prefer` found
        self._fetched_at = self._clock()
        _log.info("keys.refreshed", host=host, keys=len(keys), changed=changed)
        jwks = [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "x": _encoded(key)} for key in keys]
        try:
            await write_copy(self._cache_file, self._fetched_at, {"keys": jwks})
        except OSError as failure:
            _log.warning("keys.copy_not_written", why=type(failure).__name__)


def _encoded(key: Key) -> str:
    return urlsafe_b64encode(bytes(key)).rstrip(b"=").decode()
