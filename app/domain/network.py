"""What an address says of itself: how it is read, whether it is this machine, which network it belongs to."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

SITE = 64  # prefix length of one IPv6 network: its owner may use any address in it
NOWHERE = ""  # the bucket of all callers without an address
_GLOBAL = IPv6Network("2000::/3")  # all that is routed; mapped and translated forms of IPv4 lie outside, or below
# IANA's registries of special purposes, spelt out: what `is_global` says differs between Python's versions.
_SPECIAL_4 = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
"""
_SPECIAL_6 = "2001::/23 2001:db8::/32 2002::/16 3fff::/20"
_SPECIAL: tuple[IPv4Network | IPv6Network, ...] = (
    *map(IPv4Network, _SPECIAL_4.split()),
    *map(IPv6Network, _SPECIAL_6.split()),
)

# How proxies write a hop that has a port, or an IPv6 address in brackets.
_WITH_PORT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+)(?=:))(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_LAST_PORT = 65535


def read_address(text: str | None) -> Address | None:
    """Read a bare address, IPv4 mapped into IPv6 as the IPv4 address; None for a zone, a port, brackets, a name.

    >>> read_address("::ffff:203.0.113.7"), read_address("203.0.113.7:443"), read_address("fe80::1%eth0")
    (IPv4Address('203.0.113.7'), None, None)
    """
    try:
        address = ip_address(text or "")
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return None if address.scope_id is not None else address.ipv4_mapped or address
    return address


def read_hop(text: str) -> Address | None:
    """Read one hop of X-Forwarded-For: a bare address, one with its port, IPv6 in brackets; None for anything else.

    >>> read_hop("203.0.113.7:4711"), read_hop("[2001:db8::1]:443"), read_hop("[203.0.113.7]"), read_hop("unknown")
    (IPv4Address('203.0.113.7'), IPv6Address('2001:db8::1'), None, None)
    """
    parts = _WITH_PORT.fullmatch(text)
    if parts is None:
        return read_address(text)
    if int(parts["port"] or 0) > _LAST_PORT:
        return None
    return read_address(parts["v4"]) if parts["v6"] is None else _read_bracketed(parts["v6"])


def _read_bracketed(text: str) -> Address | None:
    return read_address(text) if ":" in text else None


def is_loopback(host: str | None) -> bool:
    """Tell whether a host can only be this machine: 127.0.0.0/8, ::1, `localhost`, with a dot at its end or without.

    >>> [is_loopback(host) for host in ("127.0.0.2", "::ffff:127.0.0.1", "Localhost.", "203.0.113.7", "junk")]
    [True, True, True, False, False]
    """
    if host is not None and host.removesuffix(".").lower() == "localhost":
        return True
    address = read_address(host)
    return address is not None and address.is_loopback


def neighbourhood(text: str | None) -> str:
    """Name the bucket of an address: itself, for IPv6 its /64, which any single machine has to itself.

    >>> neighbourhood("203.0.113.7"), neighbourhood("2001:db8::1:2:3:4"), neighbourhood("junk")
    ('203.0.113.7', '2001:db8::/64', '')
    """
    address = read_address(text)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, SITE), strict=False))
    return NOWHERE if address is None else str(address)


def is_public(text: str) -> bool:
    """Tell whether an address is one of a machine on the internet; False for IPv4 inside any form of IPv6.

    >>> [is_public(text) for text in ("34.117.59.81", "2606:4700::1", "169.254.169.254", "::ffff:34.117.59.81", "junk")]
    [True, True, False, False, False]
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and (address.scope_id is not None or address not in _GLOBAL):
        return False
    return not any(address in network for network in _SPECIAL)
