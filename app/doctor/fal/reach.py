"""fal as this machine sees it: its keys, its address list, and by its clock our own.

Looks only: neither the server's copies nor its state are touched.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import httpx2
import orjson

from app.doctor.finding import Catalogue, Finding, Level, Wording, finding
from app.domain.alert_rules import CLOCK_SKEW, CLOCK_SKEW_CRITICAL
from app.domain.language import Language, pick
from app.fal.addresses import parse_ranges
from app.fal.client import FetchFailed, get_capped, host_of, read_copy
from app.fal.keys import parse_jwks
from app.fal.skew import Skew

BODY_LIMIT = 256 * 1024  # bytes
SECONDS = 4.0

WORDS: Catalogue = {
    "fal_keys.ok": Wording(
        Level.OK, ("ключи подписи fal: {count}, с {host}", "fal's signing keys: {count}, from {host}")
    ),
    "fal_keys.unreachable": Wording(
        Level.FAIL,
        (
            "ключи подписи fal не получены: {why}. Без них каждая доставка получит 503",
            "fal's signing keys were not fetched: {why}. Without them every delivery gets 503",
        ),
        (
            "Проверьте выход в интернет (DNS, прокси, корневые сертификаты) и FAL_JWKS_URLS.",
            "Check the way out (DNS, proxy, root certificates) and FAL_JWKS_URLS.",
        ),
        "curl -sS -o /dev/null -w '%{{http_code}}\\n' {url}",
    ),
    "fal_keys.first_failed": Wording(
        Level.WARN,
        (
            "ключи подписи fal есть, но только с запасного адреса; первый: {why}",
            "fal's signing keys came from a spare address only; the first: {why}",
        ),
        ("Посмотрите, что отвечает первый адрес.", "See what the first address answers."),
        "curl -sS -o /dev/null -w '%{{http_code}}\\n' {url}",
    ),
    "clock.ok": Wording(
        Level.OK, ("часы идут верно (расхождение {seconds} с)", "the clock is right ({seconds} s apart from fal's)")
    ),
    "clock.skewed": Wording(
        Level.WARN,
        (
            "часы расходятся с fal на {seconds} с; при 300 с подписи перестанут приниматься",
            "the clock is {seconds} s apart from fal's; at 300 s signatures are refused",
        ),
        ("Включите синхронизацию времени.", "Let the clock be kept by the network."),
        "sudo timedatectl set-ntp true",
    ),
    "clock.wrong": Wording(
        Level.FAIL,
        (
            "часы расходятся с fal на {seconds} с: подписи отвергаются как старые или из будущего",
            "the clock is {seconds} s apart from fal's: signatures are refused as old or as of the future",
        ),
        ("Включите синхронизацию времени.", "Let the clock be kept by the network."),
        "sudo timedatectl set-ntp true",
    ),
    "addresses.ok": Wording(Level.OK, ("список адресов fal: {count}", "fal's address list: {count}")),
    "addresses.fixed": Wording(
        Level.OK, ("вместо списка fal — ALLOWED_IPS ({count})", "ALLOWED_IPS ({count}) in place of fal's list")
    ),
    "addresses.unreachable": Wording(
        Level.WARN,
        (
            "список адресов fal не получен ({why}); действует {copy}",
            "fal's address list was not fetched ({why}); in force is {copy}",
        ),
        ("Посмотрите, что отвечает адрес.", "See what the address answers."),
        "curl -sS -o /dev/null -w '%{{http_code}}\\n' {url}",
    ),
}
COPIES = {
    "built_in": ("встроенная копия", "the built-in copy"),
    "kept": ("копия возрастом {days} дн.", "a copy {days} days old"),
}


class Reach:
    """Asks fal through one client, and measures our clock by its answers. `now` gives the time in UTC."""

    def __init__(self, client: httpx2.AsyncClient, now: Callable[[], datetime], language: Language) -> None:
        self._client = client
        self._now = now
        self._language = language
        self._skew = Skew(now)

    async def look_at_keys(self, urls: Sequence[str]) -> list[Finding]:
        """Fetch the key sets: usable keys from one of them will do, from the first is better."""
        answers = await asyncio.gather(*(self._fetch_keys(url) for url in urls))
        whys = [f"{host_of(url)}: {answer}" for url, answer in zip(urls, answers, strict=True)]
        good = next((index for index, answer in enumerate(answers) if isinstance(answer, int)), None)
        if good is None:
            found = finding(WORDS, "fal_keys.unreachable", self._language, why="; ".join(whys), url=urls[0])
        elif good > 0:
            found = finding(WORDS, "fal_keys.first_failed", self._language, why=whys[0], url=urls[0])
        else:
            found = finding(WORDS, "fal_keys.ok", self._language, count=answers[0], host=host_of(urls[0]))
        return [found, *self._clock()]

    async def look_at_addresses(self, url: str, copy: Path, fixed: Sequence[str]) -> list[Finding]:
        """Fetch fal's address list; without it tell how old the copy is that stays in force."""
        if fixed:
            return [finding(WORDS, "addresses.fixed", self._language, count=len(fixed))]
        try:
            status, body = await get_capped(self._client, url, BODY_LIMIT, deadline_seconds=SECONDS)
            why = f"HTTP {status}"
        except FetchFailed as failure:
            status, body, why = 0, b"", failure.why
        networks = parse_ranges(_object(body).get("webhook_ip_ranges"))
        if status == httpx2.codes.OK and networks:
            return [finding(WORDS, "addresses.ok", self._language, count=len(networks))]
        words = await self._copy_words(copy)
        return [finding(WORDS, "addresses.unreachable", self._language, why=why, copy=words, url=url)]

    async def _fetch_keys(self, url: str) -> int | str:
        """Return how many usable keys there are, or why there are none."""
        try:
            status, body = await get_capped(
                self._client, url, BODY_LIMIT, deadline_seconds=SECONDS, on_headers=self._skew.timing(host_of(url))
            )
        except FetchFailed as failure:
            return failure.why
        if status != httpx2.codes.OK:
            return f"HTTP {status}"
        return len(parse_jwks(body)) or "no usable key"

    def _clock(self) -> list[Finding]:
        offset = self._skew.offset()
        if offset is None:
            return []
        apart = abs(offset)
        code = "clock.wrong" if apart > CLOCK_SKEW_CRITICAL else "clock.skewed" if apart > CLOCK_SKEW else "clock.ok"
        return [finding(WORDS, code, self._language, seconds=round(apart.total_seconds()))]

    async def _copy_words(self, copy: Path) -> str:
        try:
            kept = await read_copy(copy, BODY_LIMIT)
        except (OSError, ValueError):
            kept = None
        if kept is None:
            return pick(COPIES["built_in"], self._language)
        days = max((self._now() - kept[0]).days, 0)
        return pick(COPIES["kept"], self._language).format(days=days)


def _object(body: bytes) -> dict[str, object]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
