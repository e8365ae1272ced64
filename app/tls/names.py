"""Whether a name of a certificate is the one that a client asks for."""

import ipaddress


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
