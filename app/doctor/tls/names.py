"""Compares the names of a certificate with those that clients use."""

import ipaddress
from collections.abc import Iterator, Sequence

from app.doctor.finding import Finding
from app.doctor.tls.voice import say
from app.domain.language import Language

SHOWN = 8


def judge_names(held: Sequence[str], wanted: Sequence[str], language: Language, renewal: str) -> Iterator[Finding]:
    """Name each of `wanted` that none of `held` (DNS names, wildcards, addresses) covers."""
    if not held:
        yield say("names.none", language, command=renewal, name=", ".join(wanted))
        return
    shown = ", ".join(held[:SHOWN]) + (" …" if len(held) > SHOWN else "")
    bare = [name for name in wanted if not any(covers(pattern, name) for pattern in held)]
    for name in bare:
        yield say("names.uncovered", language, command=renewal, names=shown, name=name)
    if not bare:
        yield say("names.ok", language, names=shown)


def covers(pattern: str, name: str) -> bool:
    """Whether a certificate's `pattern` covers `name`: a star stands for the whole first label (RFC 9525)."""
    address = address_of(name)
    if address is not None:
        return address_of(pattern) == address
    pattern, name = ascii_name(pattern), ascii_name(name)
    if pattern == name:
        return True
    first, _, rest = name.partition(".")
    return bool(first) and first != "*" and "." in rest and pattern == f"*.{rest}"


def address_of(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an IP address, with or without brackets; None for a name."""
    try:
        return ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return None


def ascii_name(name: str) -> str:
    """Write a name as it stands in certificates: lower case, national letters as `xn--…`."""
    name = name.rstrip(".").lower()
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        return name
