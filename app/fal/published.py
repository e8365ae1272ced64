"""A list that fal publishes: fetched, kept on disk, aged and renewed, however many ask for it at once."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from app.fal.client import Client, FetchFailed, get_capped, host_of, read_copy, write_copy
from app.fal.skew import Skew

BODY_LIMIT = 256 * 1024  # bytes
CLOCK_SLACK = timedelta(minutes=5)  # how far ahead the disk copy's date may be

Entry = TypeVar("Entry")


class CachedDocument(ABC, Generic[Entry]):
    """The entries of one document, which stand at each of `urls`; the first that yields any is enough.

    `clock` gives the time in UTC, timezone-aware. Whatever goes wrong takes away nothing that is held. Every answer
    also tells fal's time to `skew`, which may be shared. What is rationed is rationed in this process only.
    """

    max_age: ClassVar[timedelta | None] = None  # what is older is not served
    min_interval: ClassVar[timedelta]  # between two fetches that deliveries cause
    fetch_seconds: ClassVar[float]  # for one URL
    unusable: ClassVar[str]  # why, for the log, a document is passed over in which no entry is usable

    def __init__(
        self,
        urls: Sequence[str],
        cache_file: Path,
        client: Client,
        clock: Callable[[], datetime],
        *,
        skew: Skew | None = None,
    ) -> None:
        self.skew = skew or Skew(clock)
        self._urls = tuple(urls)
        self._cache_file = cache_file
        self._client = client
        self._clock = clock
        self._entries: tuple[Entry, ...] = ()
        self._fetched_at: datetime | None = None
        self._limited_from: datetime | None = None
        self._fetching = asyncio.Lock()
        self._fetches = 0  # finished ones
        self._has_failed = False  # the last finished one

    @abstractmethod
    def _parse(self, body: bytes) -> tuple[Entry, ...]:
        """Read a document, be it fal's or our copy; nothing where it cannot be believed. Raises nothing."""

    @abstractmethod
    def _written(self, entries: Iterable[Entry]) -> Mapping[str, Any]:
        """Write entries as a JSON object that `_parse` reads."""

    @abstractmethod
    def _log_refreshed(self, host: str | None, entries: int, *, changed: bool) -> None: ...

    @abstractmethod
    def _log_refresh_failed(self, host: str | None, why: str, status: int | None) -> None: ...

    @abstractmethod
    def _log_copy_ignored(self, why: str) -> None: ...

    @abstractmethod
    def _log_copy_not_written(self, why: str) -> None: ...

    async def is_settled(self) -> bool:
        """Tell whether there are entries, or the first fetch has ended without any."""
        return bool(self._entries) or self._fetches > 0

    def current(self) -> tuple[Entry, ...]:
        """Return what is held; nothing when it is older than `max_age`."""
        if self.max_age is None:
            return self._entries
        age = self.age()
        return self._entries if age is not None and age <= self.max_age else ()

    def age(self) -> timedelta | None:
        """Tell how long ago the document was fetched; None while none was. Never negative."""
        if self._fetched_at is None:
            return None
        now = self._clock()
        # After the clock stepped back nothing would age until it caught up: count from here instead.
        self._fetched_at = min(self._fetched_at, now)
        return now - self._fetched_at

    async def load(self) -> None:
        """Take what the disk copy holds, if it is there and sound. To be called once, before the first refresh."""
        try:
            copy = await read_copy(self._cache_file, BODY_LIMIT)
        except (OSError, ValueError) as damage:
            self._log_copy_ignored(type(damage).__name__)
            return
        if copy is None:
            return
        fetched_at, body = copy
        entries = self._parse(body)
        if not entries:
            self._log_copy_ignored(self.unusable)
        elif self.max_age is not None and fetched_at > self._clock() + CLOCK_SLACK:
            self._log_copy_ignored("fetched_in_future")
        else:
            self._hold(entries)
            self._fetched_at = fetched_at

    async def refresh(self) -> bool:
        """Fetch now, or wait for the fetch under way; tell whether it brought entries."""
        seen = self._fetches
        async with self._fetching:
            return not self._has_failed if self._fetches != seen else await self._fetch(self.fetch_seconds)

    async def refresh_after_failure(self, interval: timedelta | None = None, seconds: float | None = None) -> bool:
        """Fetch because no entry fits a delivery: at most once in `interval`, however many deliveries ask.

        Callers during a fetch wait for it; the others return at once. True when the set of entries is another one now,
        so that looking again makes sense. A failed `refresh` counts too, a successful one does not: fal may publish
        another document right after it. `interval` and `seconds` (for one URL) are the document's own unless given.
        """
        before, seen = frozenset(self._entries), self._fetches
        async with self._fetching:
            if self._fetches == seen and not self._is_limited(self.min_interval if interval is None else interval):
                self._limited_from = self._clock()
                await self._fetch(self.fetch_seconds if seconds is None else seconds)
            return frozenset(self._entries) != before

    async def ensure(self) -> bool:
        """Fetch when nothing is at hand, as rarely as `refresh_after_failure`; tell whether there is something now."""
        if not self.current() and await self.refresh_after_failure():
            # These are the first entries, not a second look at them: fal may change them right after.
            self._limited_from = None
        return bool(self.current())

    def _is_limited(self, interval: timedelta) -> bool:
        # A negative difference means that the clock stepped back, not that the last fetch was just now.
        return self._limited_from is not None and timedelta(0) <= self._clock() - self._limited_from < interval

    async def _fetch(self, seconds: float) -> bool:
        started = self._clock()
        self._has_failed = not await self._fetch_any(seconds)
        self._fetches += 1
        if self._has_failed:
            self._limited_from = started
        return not self._has_failed

    async def _fetch_any(self, seconds: float) -> bool:
        for url in self._urls:
            host = host_of(url)
            try:
                status, body = await get_capped(
                    self._client, url, BODY_LIMIT, deadline_seconds=seconds, on_headers=self.skew.timing(host)
                )
            except FetchFailed as failure:
                self._log_refresh_failed(host, failure.why, None)
                continue
            entries = self._parse(body) if status == HTTPStatus.OK else ()
            if entries:
                await self._adopt(entries, host)
                return True
            self._log_refresh_failed(host, self.unusable if status == HTTPStatus.OK else "status", status)
        return False

    async def _adopt(self, entries: tuple[Entry, ...], host: str | None) -> None:
        changed = frozenset(entries) != frozenset(self._entries)
        if changed:  # an unchanged set keeps its order
            self._hold(entries)
        self._fetched_at = self._clock()
        self._log_refreshed(host, len(entries), changed=changed)
        try:
            await write_copy(self._cache_file, self._fetched_at, self._written(entries))
        except OSError as failure:
            self._log_copy_not_written(type(failure).__name__)

    def _hold(self, entries: tuple[Entry, ...]) -> None:
        self._entries = entries
