"""Six secrets that every test plants where it needs one, and the look for them afterwards (fault 45).

| canary | planted as |
| --- | --- |
| bot token | TELEGRAM_TOKEN |
| fal key | FAL_API_KEY |
| password of the database | inside DATABASE_URL |
| session key | FAL_WEBHOOK_SECRET: a secret of the environment that the server keeps for itself and gives to nobody |
| TLS private key | the key beside a server's certificate; its lines are read when the server runs |
| dashboard token | DASHBOARD_TOKEN and METRICS_TOKEN |

Looked at always, after each phase of each test: what it printed and logged, and below its `tmp_path` every log, page,
database and core dump. CANARIES=1 makes the servers log at DEBUG and adds what costs time: the pages that applications
answered in process, PostgreSQL's rows, and the command line of every process on the machine, several times a second.
"""

import base64
import json
import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

FULL = os.environ.get("CANARIES") == "1"  # noqa: TID251  a setting of the tests, not of the server

TELEGRAM_TOKEN = "123456789:AAaaBBbbCCccDDddEEeeFFffGGggHHhhIIi"
FAL_SECRET = "canary-fal-secret"
DATABASE_PASSWORD = "canary-db-password"
SESSION_KEY = "canary-session-key-0f1e2d3c4b5a69788796a5b4c3d2e1f0"
DASHBOARD_TOKEN = "canary-dashboard-token-7c0e5b1a9d3f"
METRICS_TOKEN = "canary-metrics-token-2b8d4f6a1c9e"

PLANTED: Mapping[str, str] = {
    "bot token": TELEGRAM_TOKEN,
    "fal key": FAL_SECRET,
    "database password": DATABASE_PASSWORD,
    "session key": SESSION_KEY,
    "dashboard token": DASHBOARD_TOKEN,
    "metrics token": METRICS_TOKEN,
}
LOOKED_INTO = (".log", ".db", ".db-wal", ".html", ".txt", ".prom", ".out", ".err")
SHORTEST = 8  # letters; a shorter piece stands in any file by chance
EVERY = 0.2  # s between two looks at the command lines


def environment() -> dict[str, str]:
    """Return what a server process gets beside its own settings: the secrets that no test needs, and DEBUG."""
    if not FULL:
        return {}
    return {
        "FAL_API_KEY": f"canary:{FAL_SECRET}",
        "FAL_WEBHOOK_SECRET": SESSION_KEY,
        "DASHBOARD_TOKEN": DASHBOARD_TOKEN,
        "METRICS_TOKEN": METRICS_TOKEN,
        "LOG_LEVEL": "DEBUG",
    }


@cache
def forms(secret: str) -> tuple[bytes, ...]:
    """Spell a secret in every way in which it may leak.

    As it is, percent-encoded, as in a repr, as in JSON, in hex, reversed, and in base64 wherever in a text it stands:
    there, three bytes become four letters, so each of the three alignments has letters of its own.
    """
    raw = secret.encode()
    spelled = {
        raw,
        quote(secret, safe="").encode(),
        quote(secret).encode(),
        quote_plus(secret).encode(),
        quote(secret, safe="").lower().encode(),
        repr(secret)[1:-1].encode(),
        json.dumps(secret)[1:-1].encode(),
        raw.hex().encode(),
        raw.hex().upper().encode(),
        raw[::-1],
    }
    for before in range(3):
        shifted = b"\0" * before + raw
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # Letters that also hold bits of what stands before or after the secret say nothing.
            whole = encode(shifted)[-(-before * 4 // 3) : len(shifted) * 4 // 3]
            spelled.add(whole)
    if ":" in secret:
        spelled.add(secret.rpartition(":")[2].encode())  # a token is as good without the bot's number
    return tuple(form for form in spelled if len(form) >= SHORTEST)


def key_lines(pem: str) -> Mapping[str, str]:
    """Return the lines of a private key: each of them is a secret."""
    lines = [line for line in pem.splitlines() if line and not line.startswith("-")]
    return {f"line {number} of the TLS key": line for number, line in enumerate(lines, 1) if len(line) >= SHORTEST}


def leaks(content: bytes | str, secrets: Mapping[str, str] = PLANTED) -> list[str]:
    """Name the secrets that stand in a text, in whatever form."""
    found = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    return [name for name, secret in secrets.items() if any(form in found for form in forms(secret))]


def leaks_below(folder: Path, secrets: Mapping[str, str] = PLANTED) -> list[str]:
    """Name each secret and the file it stands in: logs (rotated ones too), pages, databases, core dumps."""
    return [f"{name} in {path}" for path in _written(folder) for name in leaks(_content(path), secrets)]


def command_lines() -> Iterator[tuple[int, bytes]]:
    """Read the command line of every process on this machine."""
    # Not by Path: the look runs in a thread of its own, and tests replace what Path does.
    for name in os.listdir("/proc"):  # noqa: PTH208  as above
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:  # noqa: PTH123  as above
                yield int(name), file.read()


def _written(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        name = path.name
        if (name.endswith(LOOKED_INTO) or ".log." in name or name.startswith("core")) and path.is_file():
            yield path


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # a process that ended, a file that was rotated away
        return b""


Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Callable[[], Awaitable[Message]], Send], Awaitable[None]]


class Answers:
    """Keeps what applications answer, headers included."""

    def __init__(self) -> None:
        self.content = bytearray()

    def of(self, app: Application) -> Application:
        """Return the application, overheard."""

        async def overheard(scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
            async def keep(message: Message) -> None:
                for name, value in message.get("headers", ()):
                    self.content += name + b": " + value + b"\n"
                self.content += message.get("body", b"")
                await send(message)

            await app(scope, receive, keep)

        return overheard


class Watch:
    """Looks at every command line while tests run; what it saw is in `found`."""

    def __init__(self, secrets: Mapping[str, str] = PLANTED) -> None:
        self.found: dict[str, None] = {}
        self.looks = 0
        self._secrets = secrets
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="canaries", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> Iterable[str]:
        """End, and return what was found."""
        self._over.set()
        self._thread.join()
        return self.found

    def _run(self) -> None:
        while not self._over.wait(EVERY):
            self.looks += 1
            for pid, line in command_lines():
                for name in leaks(line, self._secrets):
                    self.found[f"{name} on the command line of process {pid}"] = None
