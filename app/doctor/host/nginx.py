"""nginx in front of us: what it does with the webhook, and which certificate it shows.

Source: nginx documentation of `location`, `return`, `rewrite`, `client_max_body_size`, `listen`, `server_name`.
"""

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from app.catalog import translate
from app.doctor.finding import Catalogue, Finding, Level, Wording, finding
from app.doctor.host.asking import reachable
from app.doctor.host.nginx_files import FOLDER
from app.doctor.host.nginx_syntax import Directive
from app.domain.language import Language, Msgid, msgid

SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
DEFAULT_BODY = "1m"
_REDIRECTING = re.compile(r"30[12378]\Z|https?://|\$scheme://")

AS_ROOT: Msgid = msgid("Repeat as root.")
OWN_LOCATION: Msgid = msgid("Give the path a location of its own with proxy_pass to port {port}.")

WORDS: Catalogue = {
    "nginx.absent": Wording(Level.OK, msgid("there is no nginx on this machine")),
    "nginx.elsewhere": Wording(
        Level.OK,
        msgid("nginx has no part in this webhook"),
    ),
    "nginx.ok": Wording(
        Level.OK,
        msgid("nginx passes the webhook on without a redirect"),
    ),
    "nginx.passes_tls": Wording(
        Level.OK,
        msgid("nginx hands TLS on without reading it"),
    ),
    "nginx.unreadable": Wording(
        Level.WARN,
        msgid("nginx's configuration cannot be read"),
        AS_ROOT,
        "sudo {python} -m app.cli doctor",
    ),
    "nginx.redirects": Wording(
        Level.FAIL,
        msgid("nginx redirects {path} ({why}); after a 3xx fal never tries again"),
        OWN_LOCATION,
        "sudo nginx -T | grep -nE 'return 30|rewrite|location'",
    ),
    "nginx.not_passed_on": Wording(
        Level.FAIL,
        msgid("nginx serves {name} but passes {path} on to nobody"),
        OWN_LOCATION,
        "sudo nginx -T | grep -nE 'server_name|location|proxy_pass'",
    ),
    "nginx.body_too_small": Wording(
        Level.FAIL,
        msgid("nginx: client_max_body_size {size} is below MAX_BODY_BYTES ({limit} bytes): a large result gets 413"),
        msgid("Write into this server: client_max_body_size {limit};"),
        "sudo nginx -T | grep -n client_max_body_size",
    ),
    "nginx.certificate_unreadable": Wording(
        Level.WARN,
        msgid("nginx's certificate {file} cannot be read from here and was not looked at"),
        AS_ROOT,
        "sudo {python} -m app.cli doctor tls",
    ),
}

# The remedies of `served.*` are for the server's own port; for a port of nginx's these take their place.
READ_AGAIN: Msgid = msgid("Let nginx read its files again.")
RELOAD = "sudo nginx -t && sudo systemctl reload nginx"
MENDED_BY: dict[str, tuple[Level, Msgid, str]] = {
    "served.refused": (Level.FAIL, msgid("Start nginx."), "sudo nginx -t && sudo systemctl start nginx"),
    "served.no_tls": (Level.FAIL, READ_AGAIN, RELOAD),
    "served.other_certificate": (Level.FAIL, READ_AGAIN, RELOAD),
    "served.other_chain": (Level.WARN, READ_AGAIN, RELOAD),
}


@dataclass(frozen=True, slots=True)
class Site:
    """The webhook as nginx should know it: name, ports, path and largest body."""

    name: str
    port: int
    path: str
    body_limit: int  # bytes
    public_port: int


@dataclass(frozen=True, slots=True)
class Front:
    """A `server` block of nginx that proxies to this server: its TLS ports, and its certificate where it names one."""

    ports: tuple[int, ...]
    addresses: tuple[tuple[str, int], ...]  # for a handshake: listeners that expect PROXY protocol are left out
    certificate: Path | None = None
    key: Path | None = None
    passes_tls: bool = False  # TCP passthrough: the certificate is the server's own


def look_at_nginx(root: Directive | None, site: Site, language: Language) -> tuple[list[Finding], Front | None]:
    """Judge what nginx does with the webhook; return with it the `server` block that proxies to us, if any."""
    if root is None:
        return [finding(WORDS, "nginx.absent", language)], None
    if not root.block:
        return [finding(WORDS, "nginx.unreadable", language, python=sys.executable)], None
    http = Directive("http", [], [*(line for block in root.all("http") for line in block.block), *root.block])
    server = next((server for server in http.all("server") if _is_front(http, server, site)), None)
    if server is None:
        passing = _passing(root, site)
        if passing:
            return [finding(WORDS, "nginx.passes_tls", language)], Front(*_reached(passing), passes_tls=True)
        return [finding(WORDS, "nginx.elsewhere", language)], None
    certificate, key = (server.first(name) or http.first(name) for name in ("ssl_certificate", "ssl_certificate_key"))
    front = Front(
        *_reached(_tls_listens(server)),
        FOLDER / certificate if certificate else None,
        FOLDER / key if key else None,
    )
    found = list(_faults(http, server, site, language))
    return found or [finding(WORDS, "nginx.ok", language)], front


def unreadable_certificate(front: Front, language: Language) -> list[Finding]:
    """Return a finding for the file of nginx's pair that this process may not read."""
    files = [path for path in (front.certificate, front.key) if path is not None and not os.access(path, os.R_OK)]
    return [
        finding(WORDS, "nginx.certificate_unreadable", language, file=path, python=sys.executable) for path in files[:1]
    ]


def said_of_nginx(served: Finding, language: Language) -> Finding:
    """Give a finding about a port (`served.*`) the level and the remedy that it has where nginx listens there."""
    if served.code not in MENDED_BY:
        return served
    level, remedy, command = MENDED_BY[served.code]
    return replace(served, level=level, remedy=translate(remedy, language), command=command)


def _faults(http: Directive, server: Directive, site: Site, language: Language) -> Iterator[Finding]:
    location = _location(server, site.path)
    why = _redirect(server) or (_redirect(location) if location else None) or _slash_redirect(server, site.path)
    if why is not None:
        yield finding(WORDS, "nginx.redirects", language, path=site.path, why=why, port=site.port)
    elif location is None or location.first("proxy_pass") is None:
        yield finding(WORDS, "nginx.not_passed_on", language, name=site.name, path=site.path, port=site.port)
    sizes = [block.first("client_max_body_size") for block in (location, server, http) if block is not None]
    size = next((size for size in sizes if size is not None), DEFAULT_BODY)
    if 0 < _bytes(size) < site.body_limit:
        yield finding(WORDS, "nginx.body_too_small", language, size=size, limit=site.body_limit)


def _is_front(http: Directive, server: Directive, site: Site) -> bool:
    ports, _ = _reached(_tls_listens(server))
    if not ports:
        return False
    location = _location(server, site.path)
    if location is not None and site.port in _target_ports(http, location.first("proxy_pass")):
        return True
    names = [name for line in server.all("server_name") for name in line.arguments]
    return site.public_port in ports and site.public_port != site.port and any(_fits(n, site.name) for n in names)


def _target_ports(block: Directive, target: str | None) -> set[int]:
    """Return the ports that a proxy_pass leads to, through the `upstream` of that name where there is one."""
    host = re.sub(r"\Ahttps?://", "", target or "").partition("/")[0]
    upstream = next((line for line in block.all("upstream") if line.arguments == [host]), None)
    servers = [host] if upstream is None else [line.arguments[0] for line in upstream.all("server") if line.arguments]
    return {_port(server, 80) for server in servers}


def _passing(root: Directive, site: Site) -> list[Directive]:
    """Return the listeners of a `stream` that passes TLS on to us without ending it."""
    return [
        listen
        for stream in root.all("stream")
        for server in stream.all("server")
        if site.port in _target_ports(stream, server.first("proxy_pass"))
        for listen in server.all("listen")
        if listen.arguments
    ]


def _port(address: str, default: int) -> int:
    last = address.rpartition(":")[2]
    return int(last) if last.isdigit() else default


def _tls_listens(server: Directive) -> list[Directive]:
    return [listen for listen in server.all("listen") if "ssl" in listen.arguments[1:]]


def _reached(listens: list[Directive]) -> tuple[tuple[int, ...], tuple[tuple[str, int], ...]]:
    """Return every port, and for each that needs no PROXY protocol one address, IPv4 before IPv6."""
    ports: set[int] = set()
    hosts: dict[int, str] = {}
    for listen in sorted(listens, key=lambda listen: listen.arguments[0].startswith("[")):
        address = listen.arguments[0]
        host, _, port = address.rpartition(":")
        if not port.isdigit():
            host, port = address, "443"
        if not address.startswith("unix:"):
            ports.add(int(port))
            if "proxy_protocol" not in listen.arguments:
                hosts.setdefault(int(port), reachable(host.strip("[]") or "*"))
    return tuple(sorted(ports)), tuple((hosts[port], port) for port in sorted(hosts))


def _fits(pattern: str, name: str) -> bool:
    if pattern.startswith("~"):
        return _matches(pattern[1:], name, re.IGNORECASE)
    if pattern.startswith((".", "*.")):
        return name.endswith(pattern.lstrip("*")) or name == pattern[1:]
    return pattern.lower() == name


def _location(server: Directive, path: str) -> Directive | None:
    """Choose as nginx does: the exact one, the longest prefix if it says `^~`, the first regex, the longest prefix."""
    prefixes: list[tuple[str, bool, Directive]] = []
    patterns: list[tuple[str, int, Directive]] = []
    for location in server.all("location"):
        match location.arguments:
            case ["=", exact] if exact == path:
                return location
            case ["~" | "~*" as kind, pattern]:
                patterns.append((pattern, re.IGNORECASE if kind == "~*" else 0, location))
            case ["^~", prefix] if path.startswith(prefix):
                prefixes.append((prefix, True, location))
            case [prefix] if path.startswith(prefix):
                prefixes.append((prefix, False, location))
    longest = max(prefixes, key=lambda entry: len(entry[0]), default=None)
    if longest is not None and longest[1]:
        return longest[2]
    chosen = next((location for pattern, flags, location in patterns if _matches(pattern, path, flags)), None)
    return chosen or (longest[2] if longest is not None else None)


def _matches(pattern: str, text: str, flags: int) -> bool:
    try:
        return re.search(pattern, text, flags) is not None
    except re.error:  # PCRE knows more than Python; what cannot be read is taken not to match
        return False


def _redirect(block: Directive) -> str | None:
    for line in block.all("return"):
        if line.arguments and _REDIRECTING.match(line.arguments[0]):
            return f"return {' '.join(line.arguments)}"
    for line in block.all("rewrite"):
        if len(line.arguments) > 1 and (line.arguments[-1] in ("permanent", "redirect") or "://" in line.arguments[1]):
            return f"rewrite {' '.join(line.arguments)}"
    return None


def _slash_redirect(server: Directive, path: str) -> str | None:
    """Find `location /path/` with proxy_pass and no location for the bare path: nginx adds the slash by a 301."""
    for location in server.all("location"):
        if location.arguments == [f"{path}/"] and location.first("proxy_pass") is not None:
            exact = any(other.arguments in (["=", path], [path]) for other in server.all("location"))
            return None if exact else f"location {path}/"
    return None


def _bytes(size: str) -> int:
    match = re.fullmatch(r"(\d+)([kmg]?)", size.lower())
    return int(match[1]) * SIZES[match[2]] if match else 0
