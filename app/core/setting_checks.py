"""What a text must be like: each check returns it as it is used, or raises Wrong and says why."""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

from app.domain.endpoint import is_endpoint
from app.domain.language import Msgid, msgid
from app.domain.network import is_loopback

TOKEN_SHORTEST = 32  # characters of a token that is ours to choose
NOT_URL = msgid("not a URL")
STRAY = msgid("a stray '?' or '#' in the address")
NOT_HOST = msgid("neither a host name nor an IP")

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\Z")
_SQLITE = re.compile(r"sqlite(?:\+aiosqlite)?:///(?=[^?])")
# As SQLAlchemy and libpq read it; their own errors would quote the URL with its password: refused here first.
_POSTGRESQL = re.compile(
    r"postgres(?:ql(?:\+asyncpg|\+psycopg)?)?://(?=[^/]|/[^?])"
    r"(?:[^:/]*(?::[^@]*)?@)?(?P<hosts>[^/?]*)(?:/[^?]*)?(?:\?.*)?\Z"
)
_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[^\]]+)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[0-9]*))?\Z")
_LAST_PORT = 65535


class Wrong(ValueError):
    """A value does not fit; `why` says so, and the value is no part of it."""

    def __init__(self, why: Msgid) -> None:
        super().__init__(why)
        self.why = why


def _only(fits: Callable[[str], object], why: Msgid) -> Callable[[str], str]:
    """Make a check of what is true of a text that fits."""

    def check(text: str) -> str:
        if not fits(text):
            raise Wrong(why)
        return text

    return check


def is_ip(host: str) -> bool:
    """Tell whether it is an address, v4 or v6, without brackets."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port  # reading the port is a check
    except ValueError:
        raise Wrong(NOT_URL) from None
    if "\\" in url or not url.isascii() or any(map(str.isspace, url)):
        raise Wrong(NOT_URL)
    if parts.scheme not in {"http", "https"} or not (_HOST.match(host) or is_ip(host)):
        raise Wrong(NOT_URL)
    if "@" in parts.netloc:
        raise Wrong(msgid("a user name or password inside the URL"))
    if parts.scheme == "http" and not is_loopback(host):
        raise Wrong(msgid("http:// is accepted for this same machine only"))
    return parts


def check_url(url: str) -> str:
    """Accept a URL we call or give out: https, or http on this machine; without credentials and fragment."""
    if _split(url).fragment:
        raise Wrong(STRAY)
    return url


def check_base(url: str) -> str:
    parts = _split(url)
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise Wrong(STRAY)
    return url.rstrip("/")  # paths are appended to it


def check_bot_api(url: str) -> str:
    """Accept where the Bot API lies; libraries write `/bot` at its end, which is ours to append."""
    return check_base(url).removesuffix("/bot")


def check_public(url: str) -> str:
    # As Telegram wants it of a button; it refuses a whole message over an address that it does not like.
    host = _split(url).hostname or ""
    if not url.startswith("https://") or is_ip(host) or "." not in host or is_loopback(host):
        raise Wrong(msgid("not an address that anybody's phone can open"))
    return url


def check_origin(origin: str) -> str:
    if origin == "*":
        return origin
    parts = _split(origin)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise Wrong(msgid("an origin has no path"))
    return f"{parts.scheme}://{parts.netloc}".lower()  # what a browser sends


check_endpoint = _only(is_endpoint, msgid("not an endpoint of fal's"))


def check_host(host: str) -> str:
    """Accept what a server binds to; қазақ.kz becomes its xn-- spelling, which the wire uses."""
    if is_ip(host):
        return host
    try:
        host = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise Wrong(NOT_HOST) from None
    if not _HOST.match(host) or host.replace(".", "").isdigit():
        raise Wrong(NOT_HOST)
    return host


def check_domain(host: str) -> str:
    return check_host(host.lower())  # as a certificate names it


def check_host_pattern(pattern: str) -> str:
    """Accept what the Host header is matched with: a name, an address (IPv6 also in brackets), `*.name` or `*`."""
    if pattern == "*" or (pattern.startswith("[") and pattern.endswith("]") and is_ip(pattern[1:-1])):
        return pattern
    try:
        return ("*." if pattern.startswith("*.") else "") + check_domain(pattern.removeprefix("*."))
    except Wrong:
        raise Wrong(msgid("neither a host name nor *.name")) from None


def check_artifact_host(pattern: str) -> str:
    """Accept a public name or `*.name`: what is asked over the internet is never an address, nor everything."""
    accepted = check_host_pattern(pattern)
    _, dot, last = accepted.removeprefix("*.").rpartition(".")
    if not dot or not last[:1].isalpha():  # an address ends in a number, in hexadecimal too
        raise Wrong(msgid("not a name on the internet"))
    return accepted


# A beginning of less than four characters would take real ids for invented ones.
_is_mark = _only(
    re.compile(r"[!-~]{4,}").fullmatch, msgid("neither a host nor the beginning of an id, from 4 characters")
)


def check_mark(mark: str) -> str:
    return check_domain(_is_mark(mark)) if "." in mark else _is_mark(mark).lower()


def check_network(text: str) -> str:
    """Accept a network and spell it canonically; a single address becomes /32 or /128."""
    return str(_network(text))


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            raise Wrong(msgid("an address inside a network instead of its start")) from None
        raise Wrong(msgid("neither an IP address nor a network")) from None


def check_trusted(text: str) -> str:
    if text == "*" or (text != "unix" and _network(text).prefixlen == 0):
        raise Wrong(msgid("trusting everybody lets anyone forge their IP"))
    return text


check_file_name = _only(re.compile(r"(?!\.{1,2}\Z)[^/\\]+").fullmatch, msgid("a file name without a folder is needed"))


def check_database(url: str) -> str:
    """Accept a database that the engine can open, and that keeps its data when the server ends."""
    parts = _POSTGRESQL.match(url)
    if url != url.strip() or not (parts or _SQLITE.match(url)):
        raise Wrong(msgid("no such database is supported"))
    if parts is None and (":memory:" in url or "mode=memory" in url):
        raise Wrong(msgid("a database in memory loses what was accepted"))
    if parts and parts["hosts"] and not all(map(_is_address, parts["hosts"].split(","))):
        raise Wrong(NOT_URL)
    return url


def _is_address(text: str) -> bool:
    parts = _ADDRESS.match(text)
    if parts is None or int(parts["port"] or "0") > _LAST_PORT:
        return False
    host = unquote(parts["ipv6"] or parts["host"])
    # A host that is no host name is the rest of a password whose "@" was not written as %40.
    return bool(_HOST.match(host)) or is_ip(host) or host.startswith("/")


_is_key = _only(re.compile(r"(?:(?!['\"`<>\\])[!-~])+").fullmatch, msgid("a space or a quote inside the secret"))


def check_secret(text: str) -> str:
    if not text.strip():
        raise Wrong(msgid("nothing but spaces"))
    return _is_key(text)  # it goes into a header or a URL


def check_token(text: str) -> str:
    if len(check_secret(text)) < TOKEN_SHORTEST:
        raise Wrong(msgid("a token shorter than 32 characters"))
    return text
