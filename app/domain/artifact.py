"""Artifacts as files at fal's CDN: where one may lie, what a look at it may find, what is noted of it. Pure."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

# Stricter than any URL parser, so that no two of them can disagree about the host.
_URL = re.compile(r"(?P<scheme>[A-Za-z]+)://(?P<authority>[^/?#\\]*)(?P<rest>[/?#][^\s\x00-\x1f\x7f]*)?")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")


class ArtifactCheck(StrEnum):
    """What an artifact must pass before an avatar is completed with it: ARTIFACT_CHECK."""

    REQUIRE = "require"  # absent: never completed
    NOTE = "note"  # looked at once, completed whatever was found
    OFF = "off"


class Sight(StrEnum):
    """What one look at an artifact found."""

    SEEN = "seen"
    ABSENT = "absent"
    UNREACHABLE = "unreachable"  # nothing is known: the net, the CDN or our access to it


class ArtifactState(StrEnum):
    """What is on record of an artifact that an avatar was completed with."""

    SEEN = "seen"
    UNVERIFIED = "unverified"  # told without having been seen; looked at again
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class ArtifactLook:
    """The answer of one look. `why` is a word for the operator; `is_lasting`: time does not change it."""

    sight: Sight
    why: str = ""
    is_lasting: bool = False


def artifact_host(url: str) -> str | None:
    """Name the host of an artifact's URL in lower case; None where it has none that a public name could be.

    >>> artifact_host("https://V3.fal.media/files/a.safetensors"), artifact_host("https://[::1]/a"), artifact_host("https://127.0.0.1/a")
    ('v3.fal.media', None, '127.0.0.1')
    """
    parts = _URL.fullmatch(url)
    if parts is None:
        return None
    host = parts["authority"].rpartition("@")[2].partition(":")[0].lower()
    return host if _NAME.fullmatch(host) else None


def refusal_of(url: str, hosts: Collection[str]) -> str | None:
    """Say why an artifact cannot lie at a URL; None where it can. `hosts` are names, and `*.name` for all below one.

    malformed · not_https · userinfo · port (any but 443) · foreign_host (an address, a name that is not listed)

    >>> listed = ("fal.media", "*.fal.media")
    >>> [refusal_of(url, listed) for url in ("https://v3.fal.media/a", "https://fal.media.evil.kz/a", "http://fal.media")]
    [None, 'foreign_host', 'not_https']
    """
    parts = _URL.fullmatch(url)
    if parts is None:
        return "malformed"
    if parts["scheme"].lower() != "https":
        return "not_https"
    authority = parts["authority"]
    if "@" in authority:
        return "userinfo"
    if not authority.startswith("["):
        _, colon, port = authority.partition(":")
        if colon and port != "443":
            return "port"
    host = artifact_host(url)
    if host is None or not any(_is_named(host, pattern) for pattern in hosts):
        return "foreign_host"
    return None


def _is_named(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
