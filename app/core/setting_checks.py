"""What a value must be like: each check returns it as it is used, or raises Wrong with a code."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import SecretStr

from app.domain.endpoint import is_endpoint
from app.domain.network import is_loopback

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
_SECRET_JUNK = re.compile(r"[\s'\"`<>\\]|[^\x21-\x7e]")
_DATABASE = re.compile(
    r"(?:sqlite|sqlite\+aiosqlite|postgresql|postgresql\+asyncpg|postgresql\+psycopg|postgres)://(?=[^/]|/[^?])"
)

# As SQLAlchemy and libpq read it; their own errors would quote the URL with its password: refused here first.
_POSTGRESQL = re.compile(r"(?:[^:/]*(?::[^@]*)?@)?(?P<hosts>[^/?]*)(?:/[^?]*)?(?:\?.*)?\Z")
_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[^\]]+)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[0-9]*))?\Z")
_LAST_PORT = 65535
_SHORTEST_MARK = 4  # characters; a shorter beginning would take real ids for invented ones

TOKEN_SHORTEST = 32  # characters of a token that is ours to choose


class Wrong(ValueError):
    """A value does not fit; `code` is a key of `setting_errors.WRONG`, and the value is no part of it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _split(url: str) -> SplitResult:
    if "\\" in url or not url.isascii() or any(c.isspace() for c in url):
        raise Wrong("url")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 reading it is the check
    except ValueError:
        raise Wrong("url") from None
    host = parts.hostname
    if parts.scheme not in {"http", "https"} or not host or not (_HOST.match(host) or _is_ip(host)):
        raise Wrong("url")
    if "@" in parts.netloc:
        raise Wrong("url_password")
    if parts.scheme == "http" and not is_loopback(host):
        raise Wrong("url_plain")
    return parts


def check_url(url: str) -> str:
    """Accept a URL we call or give out: https, or http on this machine; without credentials and fragment."""
    if _split(url).fragment:
        raise Wrong("url_query")
    return url


def check_base(url: str) -> str:
    """Accept a URL that paths are appended to; its trailing slash goes."""
    parts = _split(url)
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise Wrong("url_query")
    return url.rstrip("/")


def check_public(url: str) -> str:
    """Accept a URL that a stranger's phone can open, as Telegram wants it of a button: https at a name on the internet.

    Telegram refuses a whole message over an address that it does not like.
    """
    host = _split(url).hostname or ""
    if not url.startswith("https://") or _is_ip(host) or "." not in host or is_loopback(host):
        raise Wrong("url_public")
    return url


def check_endpoint(text: str) -> str:
    """Accept the name of a fal endpoint: owner, app and perhaps a sub-path, as a model's page on fal.ai shows it."""
    if not is_endpoint(text):
        raise Wrong("endpoint")
    return text


def check_origin(origin: str) -> str:
    """Accept what a browser sends as Origin: scheme, host, port; a lone `*` is accepted."""
    if origin == "*":
        return origin
    parts = _split(origin)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise Wrong("origin")
    return f"{parts.scheme}://{parts.netloc}".lower()


def check_host(host: str) -> str:
    """Accept a host name or an IP, as a server binds to it; қазақ.kz becomes its xn-- spelling, which the wire uses."""
    if _is_ip(host):
        return host
    try:
        host = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise Wrong("host") from None
    if not _HOST.match(host) or host.replace(".", "").isdigit() or len(host) > 253:  # noqa: PLR2004 DNS's own limit
        raise Wrong("host")
    return host


def check_domain(host: str) -> str:
    """Accept a host name or an IP, lower case, as a certificate names it."""
    return check_host(host.lower())


def check_host_pattern(pattern: str) -> str:
    """Accept what the Host header is matched with: a name, an address (IPv6 also in brackets), `*.name` or `*`."""
    if pattern == "*" or (pattern.startswith("[") and pattern.endswith("]") and _is_ip(pattern[1:-1])):
        return pattern
    star = "*." if pattern.startswith("*.") else ""
    try:
        return star + check_domain(pattern.removeprefix("*."))
    except Wrong:
        raise Wrong("host_pattern") from None


def check_artifact_host(pattern: str) -> str:
    """Accept a public name or `*.name`: what is asked over the internet is never an address, nor everything."""
    accepted = check_host_pattern(pattern)
    _, dot, last = accepted.removeprefix("*.").rpartition(".")
    if not dot or not last[:1].isalpha():  # an address ends in a number, in hexadecimal too
        raise Wrong("artifact_host")
    return accepted


def check_mark(mark: str) -> str:
    """Accept how an invented artifact is known: the name of a host, or (without a dot) how a finetune id begins."""
    if not mark.isascii() or not mark.isprintable() or " " in mark or len(mark) < _SHORTEST_MARK:
        raise Wrong("mark")
    return check_domain(mark) if "." in mark else mark.lower()


def hosts_of(domain: str) -> tuple[str, ...]:
    """List the hosts that a server of this name answers to unless others are set."""
    below = () if _is_ip(domain) else (f"*.{domain}",)
    return (domain, *below, "localhost", "127.0.0.1", "[::1]")


def origins_of(domain: str) -> tuple[str, ...]:
    """List the origins that may read a server of this name unless others are set."""
    return (f"https://[{domain}]" if ":" in domain else f"https://{domain}",)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise Wrong("network_bits" if "host bits" in str(error) else "network") from None


def check_network(text: str) -> str:
    """Accept a network and spell it canonically; a single address becomes /32 or /128."""
    return str(_network(text))


def check_trusted(text: str) -> str:
    """Accept an address or network whose X-Forwarded-For is accepted, or `unix`; never all addresses."""
    if text == "unix":
        return text
    if text == "*" or _network(text).prefixlen == 0:
        raise Wrong("trusts_all")
    return text


def check_database(secret: SecretStr) -> SecretStr:
    """Accept the URL of a database that the engine can open, that keeps its data when the server ends."""
    url = secret.get_secret_value()
    if not _DATABASE.match(url) or url != url.strip():
        raise Wrong("database_scheme")
    scheme, _, rest = url.partition("://")
    if scheme.startswith("sqlite"):
        if not rest.startswith("/"):
            raise Wrong("database_scheme")
        if ":memory:" in rest or "mode=memory" in rest:
            raise Wrong("database_memory")
    elif not _is_postgresql(rest):
        raise Wrong("url")
    return secret


def _is_postgresql(rest: str) -> bool:
    parts = _POSTGRESQL.match(rest)
    return parts is not None and (not parts["hosts"] or all(map(_is_address, parts["hosts"].split(","))))


def _is_address(text: str) -> bool:
    parts = _ADDRESS.match(text)
    if parts is None or int(parts["port"] or "0") > _LAST_PORT:
        return False
    host = unquote(parts["ipv6"] or parts["host"])
    # A host that is no host name is the rest of a password whose "@" was not written as %40.
    return bool(_HOST.match(host)) or _is_ip(host) or host.startswith("/")


def check_secret(secret: SecretStr) -> SecretStr:
    """Accept a token that goes into a header or a URL: visible ASCII without quotes."""
    text = secret.get_secret_value()
    if not text.strip():
        raise Wrong("blank")
    if _SECRET_JUNK.search(text):
        raise Wrong("secret_junk")
    return secret


def check_token(value: SecretStr) -> SecretStr:
    """Refuse a token of our own that could be guessed."""
    if len(value.get_secret_value()) < TOKEN_SHORTEST:
        raise Wrong("token_short")
    return value


def check_file_name(name: str) -> str:
    """Accept the name of a file inside LOG_DIR."""
    if name in {".", ".."} or "/" in name or "\\" in name:
        raise Wrong("file_name")
    return name


def check_path(path: Path) -> Path:
    """Accept a path and resolve its `~`; still relative to the working directory if it was."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise Wrong("no_home") from None


def check_chat(chat: int) -> int:
    """Accept a Telegram chat id: a person is positive, a group negative."""
    if chat == 0:
        raise Wrong("zero")
    return chat
