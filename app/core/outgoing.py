"""How this process reaches others: proxies and trust anchors of the environment, and of `.env` like every setting.

The HTTP client reads these variables when it connects, and could only say that nothing was reached; here they are
judged at the start. What stands in `.env` is put into the environment, as python-dotenv does it for the bot that shares
the file.
"""

import os
import re
import ssl
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from app.core.setting_sources import Collected, Given
from app.core.setting_words import UNREADABLE, Words
from app.domain.language import Msgid, msgid

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
CA_FILE, CA_FOLDER = "SSL_CERT_FILE", "SSL_CERT_DIR"
NAMES = (*PROXIES, "NO_PROXY", CA_FILE, CA_FOLDER)
KEY_LOG = "SSLKEYLOGFILE"
SCHEMES = ("http", "https", "socks5", "socks5h")

_HASHED = re.compile(r"[0-9a-f]{8}\.\d+\Z")  # how OpenSSL finds a certificate in a folder
_ODD = re.compile(r"[\s\\<>\"'`{}|^\x00-\x20\x7f-\x9f\ud800-\udfff]")

NO_PROXY = msgid("not the address of a proxy")
NO_ROOTS = msgid("there are no PEM certificates in the file")
PROXY = Words(msgid("http://host:port or socks5://host:port, a password in %-codes; leave it empty for no proxy"))
FILE = Words(
    msgid("the path of a PEM file of root certificates, such as /etc/ssl/certs/ca-certificates.crt, or leave it empty")
)
FOLDER = Words(msgid("a folder on which openssl rehash was run, such as /etc/ssl/certs, or leave it empty"))


def in_force(environ: Mapping[str, str], env_file: Mapping[str, Given]) -> dict[str, Given]:
    """Find each variable, by its upper-case name: the environment before `.env`, small letters before capitals.

    An empty one in the environment is not looked for in `.env`, as with settings.
    """
    return _named(env_file) | _named({name: Given(value, name) for name, value in environ.items()})


def _named(level: Mapping[str, Given]) -> dict[str, Given]:
    found: dict[str, Given] = {}
    for name in sorted(level, key=str.islower):
        upper = name.upper()
        if upper in NAMES and (name == upper or upper not in (CA_FILE, CA_FOLDER)):
            found[upper] = level[name]
    return found


def judge(reach: Mapping[str, Given], found: Collected) -> None:
    """Say what cannot be used of what is in force. No value is part of it: a proxy's may hold a password."""
    for name, given in reach.items():
        judgement = _JUDGES.get(name)
        wrong = judgement[0](given.value.strip()) if judgement and given.value.strip() else None
        if judgement and wrong is not None:
            found.refuse(given, wrong, judgement[1])


def settle(found: Mapping[str, Given], environ: MutableMapping[str, str]) -> list[str]:
    """Put what is in force into the environment; return notes (English sentences) for the log.

    A key log is not followed: whoever reads it reads every connection that this process makes.
    """
    for name, given in found.items():
        environ[name if name in (CA_FILE, CA_FOLDER) else given.name] = given.value.strip()
    if environ.pop(KEY_LOG, ""):
        return [f"{KEY_LOG} is ignored: it would write down the keys of every connection"]
    return []


def _wrong_proxy(value: str) -> Msgid | None:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        port = parts.port
    except ValueError:
        return NO_PROXY
    if parts.scheme not in SCHEMES:
        return msgid("no such proxy is supported")
    return None if _is_plain(value, parts) and port != 0 else NO_PROXY


def _is_plain(value: str, parts: SplitResult) -> bool:
    return bool(parts.hostname) and not _ODD.search(value) and not parts.query and not parts.fragment


def _wrong_file(path: str) -> Msgid | None:
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        trusted.load_verify_locations(cafile=path)
    except ssl.SSLError:
        return NO_ROOTS
    except (OSError, ValueError):
        return UNREADABLE
    return None if trusted.cert_store_stats()["x509"] else NO_ROOTS


def _wrong_folder(paths: str) -> Msgid | None:
    if any(_holds_roots(Path(path)) for path in paths.split(os.pathsep) if path):
        return None
    return msgid("there are no root certificates in the folder")


def _holds_roots(folder: Path) -> bool:
    try:
        return any(_HASHED.match(name) for name in _names(folder))
    except (OSError, ValueError):
        return False


def _names(folder: Path) -> Iterable[str]:
    return (path.name for path in folder.iterdir())


_JUDGES: dict[str, tuple[Callable[[str], Msgid | None], Words]] = {
    **dict.fromkeys(PROXIES, (_wrong_proxy, PROXY)),
    CA_FILE: (_wrong_file, FILE),
    CA_FOLDER: (_wrong_folder, FOLDER),
}
