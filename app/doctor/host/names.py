"""Whether the name that fal is to call leads to an address that fal may call.

Source: fal sends nothing to private targets (docs/fal.md).
"""

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from app.doctor.finding import Catalogue, Finding, Level, Wording, finding, reason_of
from app.domain.language import Language, msgid

HOSTS_FILE = Path("/etc/hosts")

Resolve = Callable[[str], Sequence[str]]

WORDS: Catalogue = {
    "dns.ok": Wording(Level.OK, msgid("{name} leads to {addresses}")),
    "dns.unresolvable": Wording(
        Level.FAIL,
        msgid("the name {name} is not found ({reason})"),
        msgid("Give the name an A record with this machine's address at your registrar, or correct API_DOMAIN."),
        "getent ahostsv4 {name}",
    ),
    "dns.private": Wording(
        Level.FAIL,
        msgid("{name} leads to {addresses}: a private address, and fal sends nothing there"),
        msgid("Let the A record name the machine's public address (the command shows it)."),
        "curl -4 https://ifconfig.me",
    ),
    "dns.hosts_file": Wording(
        Level.WARN,
        msgid("{name} stands in {file} ({addresses}): what fal sees cannot be told from here"),
        msgid("Ask a public DNS; it must name a public address."),
        "curl -sG https://dns.google/resolve -d type=A -d name={name}",
    ),
}


def resolve(name: str) -> list[str]:
    """Return every address of a name, as this machine sees it. Raises OSError."""
    found = socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def look_up(
    name: str, language: Language, *, resolve: Resolve = resolve, hosts_file: Path = HOSTS_FILE
) -> list[Finding]:
    """Judge where `name` (API_DOMAIN: a host name or an IP) leads."""
    try:
        addresses = resolve(name)
    except (OSError, UnicodeError) as error:
        return [finding(WORDS, "dns.unresolvable", language, name=name, reason=reason_of(error))]
    shown = ", ".join(addresses)
    if _stands_in(hosts_file, name):
        return [finding(WORDS, "dns.hosts_file", language, name=name, file=hosts_file, addresses=shown)]
    public = all(_address(address).is_global for address in addresses)
    return [finding(WORDS, "dns.ok" if public else "dns.private", language, name=name, addresses=shown)]


def _address(text: str) -> IPv4Address | IPv6Address:
    return ip_address(text.partition("%")[0])


def _stands_in(hosts_file: Path, name: str) -> bool:
    try:
        lines = hosts_file.read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(name.lower() in line.partition("#")[0].lower().split()[1:] for line in lines)
