"""The short way in and the full one are one judge: whatever is sent, both give the same answer."""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.testing import capture_logs

from app.application import _webhook_parts, create_app, enclose
from app.bootstrap.running import running
from app.core.config import Settings
from app.db.engine import Database, open_database
from app.db.tables import deliveries
from app.domain.errors import ClaimLost, DatabaseUnavailable
from app.fal.client import write_copy
from app.fal.signature import REQUEST_ID, SIGNATURE, SIGNED_HEADERS, TIMESTAMP, USER_ID
from app.routers.fal_webhook import PATH, WebhookParts
from app.routers.lean_lane import LeanLane
from app.twins.signing import ACCOUNT, FOREIGN_ACCOUNT, FalKey
from tests.fakes import START, FrozenClock
from tests.routers.conftest import FAL_ADDRESS

pytestmark = pytest.mark.anyio

BODY = b'{"status": "OK"}'
LIMIT = 4096  # bytes of a body
STRANGER = "203.0.113.7"
PROXY = ("127.0.0.1", 40_000)
NOW = int(START.timestamp())
KEYS = [FalKey(b"a" * 32), FalKey(b"b" * 32)]  # fal's two
FORGER = FalKey(b"c" * 32)

CONTENT_TYPE, ENCODING, HOST, FORWARDED = b"content-type", b"content-encoding", b"host", b"x-forwarded-for"


def nothing(_parts: WebhookParts, _monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave everything as it is."""


@dataclass(frozen=True)
class Case:
    """One delivery, ordinary but for what is said here, and the status that answers it.

    `headers` replaces the values of a header: none leaves it out, two send it twice. `body` comes in so many pieces;
    `messages` replaces them as ASGI's messages. `spell` changes how the signature is written.
    """

    status: int
    headers: Mapping[bytes, Sequence[bytes]] = field(default_factory=dict)
    scope: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    request_id: bytes = b"job-1"
    user_id: bytes = ACCOUNT.encode()
    timestamp: bytes = b"%d" % NOW
    key: FalKey = KEYS[0]
    spell: Callable[[bytes], bytes] = bytes
    body: Sequence[bytes] = (BODY,)
    messages: Sequence[Message] = ()
    times: int = 1
    before: Callable[[WebhookParts, pytest.MonkeyPatch], None] = nothing

    def all_headers(self) -> list[tuple[bytes, bytes]]:
        """The header as ASGI gives it."""
        body = b"".join(self.body)
        text = b"\n".join(
            [self.request_id, self.user_id, self.timestamp, hashlib.sha256(body).hexdigest().encode()],
        )
        wanted: dict[bytes, Sequence[bytes]] = {
            HOST: [b"aibots.kz"],
            CONTENT_TYPE: [b"application/json"],
            b"content-length": [b"%d" % len(body)],
            REQUEST_ID: [self.request_id],
            USER_ID: [self.user_id],
            TIMESTAMP: [self.timestamp],
            SIGNATURE: [self.spell(self.key.sign(text).hex().encode())],
            **self.headers,
        }
        return [(name, value) for name, values in wanted.items() for value in values]

    def all_messages(self) -> list[Message]:
        """What is received."""
        last = len(self.body) - 1
        pieces: list[Message] = [
            {"type": "http.request", "body": piece, "more_body": number < last}
            for number, piece in enumerate(self.body)
        ]
        return list(self.messages) or pieces

    def whole_scope(self) -> Scope:
        """The request before its body."""
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "https",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "root_path": "",
            "client": (FAL_ADDRESS, 50_000),
            "server": ("127.0.0.1", 8443),
            "headers": self.all_headers(),
            **self.scope,
        }


def behind(status: int, *hops: bytes, peer: tuple[str, int] | None = PROXY, **changes: Any) -> Case:
    """A delivery that a peer forwards, with these X-Forwarded-For."""
    return Case(status, headers={FORWARDED: hops}, scope={"client": peer, **changes.pop("scope", {})}, **changes)


def unsigned(status: int, body: bytes) -> Case:
    return Case(status, headers=dict.fromkeys(SIGNED_HEADERS, ()), body=(body,))


def fill_memory(parts: WebhookParts, _monkeypatch: pytest.MonkeyPatch) -> None:
    """Let unfinished bodies hold all of the memory set aside for them."""
    parts.memory.present = parts.memory.most


def fill_memory_of_strangers(parts: WebhookParts, _monkeypatch: pytest.MonkeyPatch) -> None:
    """Let unfinished bodies hold all that is not kept for fal."""
    parts.memory.present = parts.memory.for_strangers


def failing(error: Exception) -> Callable[[WebhookParts, pytest.MonkeyPatch], None]:
    """Let every transaction fail."""

    def set_up(_parts: WebhookParts, monkeypatch: pytest.MonkeyPatch) -> None:
        async def fail(_self: Database, *_: object) -> None:
            raise error

        monkeypatch.setattr(Database, "write", fail)
        monkeypatch.setattr(Database, "statement", fail)

    return set_up


UNIX = {"forwarded_allow_ips": ("127.0.0.1", "unix")}
UNIX_SOCKET = {"server": ("/run/aisha.sock", None)}
FAL = FAL_ADDRESS.encode()

ORDINARY = {
    "as fal sends it": Case(200),
    "with a charset": Case(200, headers={CONTENT_TYPE: [b"application/json; charset=utf-8"]}),
    "host with a port": Case(200, headers={HOST: [b"aibots.kz:8443"]}),
    "host in capitals": Case(200, headers={HOST: [b"AIBOTS.KZ"]}),
    "host below ours": Case(200, headers={HOST: [b"hooks.aibots.kz"]}),
    "host IPv6": Case(200, headers={HOST: [b"[0::1]:8443"]}, settings={"allowed_hosts": ("::1",)}),
    "signature in capitals": Case(200, spell=bytes.upper),
    "signature in mixed case": Case(200, spell=lambda signature: signature[:64].upper() + signature[64:]),
    "query string": Case(200, scope={"query_string": b"job=1&job=2"}),
    "unknown header": Case(200, headers={b"x-other": [b"\xff"]}),
    "peer mapped into IPv6": Case(200, scope={"client": (f"::ffff:{FAL_ADDRESS}", 50_000)}),
    "this machine": Case(200, scope={"client": PROXY}),
    "behind a proxy": behind(200, FAL),
    "behind two proxies": behind(200, FAL + b" ,\t127.0.0.1"),
    "junk before fal": behind(200, b"junk, " + FAL),
    "forwarded by a stranger to the list": behind(200, b"junk", peer=(FAL_ADDRESS, 50_000)),
    "behind a proxy that names the port": behind(200, FAL + b":4711"),
    "behind a proxy that leaves a comma": behind(200, FAL + b","),
    "empty hops on the way": behind(200, FAL + b", ,127.0.0.1:80,"),
    "proxies only": behind(200, b"127.0.0.1, ::1"),
    "behind a Unix socket": behind(200, FAL, peer=None, settings=UNIX, scope=UNIX_SOCKET),
    "300 s old": Case(200, timestamp=b"%d" % (NOW - 300)),
    "300 s ahead": Case(200, timestamp=b"%d" % (NOW + 300)),
    "timestamp with a zero before it": Case(200, timestamp=b"00%d" % NOW),
    "id of 255": Case(200, request_id=b"j" * 255),
    "empty body": Case(200, body=(b"",)),
    "NUL body": Case(200, body=(b"\x00",)),
    "body at the limit": Case(200, body=(b"x" * LIMIT,)),
    "three times": Case(200, times=3),
    "any account": Case(200, user_id=FOREIGN_ACCOUNT.encode(), settings={"fal_user_id": None}),
    "no filter": Case(200, scope={"client": (STRANGER, 50_000)}, settings={"ip_filter": "off"}),
    "no filter, no peer": Case(200, scope={"client": None}, settings={"ip_filter": "off"}),
    "database away": Case(503, before=failing(DatabaseUnavailable("no answer"))),
    "our bug": Case(503, before=failing(ZeroDivisionError("a bug"))),
    "our unexpected error": Case(503, before=failing(ClaimLost("not expected here"))),
    "message without a body": Case(
        200, body=(b"",), messages=[{"type": "http.request"}], headers={b"content-length": ()}
    ),
}
ODD = {
    "second key": Case(200, key=KEYS[1]),
    "forger's key": Case(401, key=FORGER),
    "signature short": Case(401, spell=lambda signature: signature[:-2]),
    "signature long": Case(401, spell=lambda signature: signature + b"00"),
    "signature no hex": Case(401, spell=lambda signature: b"g" + signature[1:]),
    "signature empty": Case(401, spell=lambda _: b""),
    "signature of another body": Case(401, messages=[{"type": "http.request", "body": BODY + b" "}]),
    "foreign account": Case(403, user_id=FOREIGN_ACCOUNT.encode()),
    "account not UTF-8": Case(400, user_id=b"\xff"),
    "account not printable": Case(400, user_id="a\u200bb".encode(), settings={"fal_user_id": None}),
    "account empty": Case(400, user_id=b"", settings={"fal_user_id": None}),
    "account of 256": Case(400, user_id=b"a" * 256, settings={"fal_user_id": None}),
    "account in Cyrillic": Case(200, user_id="счёт".encode(), settings={"fal_user_id": None}),
    "301 s old": Case(401, timestamp=b"%d" % (NOW - 301)),
    "301 s ahead": Case(401, timestamp=b"%d" % (NOW + 301)),
    "timestamp signed": Case(400, timestamp=b"+%d" % NOW),
    "timestamp with underscore": Case(400, timestamp=b"1_7"),
    "timestamp with space": Case(400, timestamp=b" %d" % NOW),
    "timestamp empty": Case(400, timestamp=b""),
    "timestamp fullwidth": Case(400, timestamp="１７".encode()),
    "timestamp of 13 digits": Case(400, timestamp=b"000%d" % NOW),
    "timestamp of 12 digits": Case(401, timestamp=b"9" * 12),
    "id with quotes": Case(200, request_id=b'a"b\\c'),
    "id with markup": Case(200, request_id=b"<b>&'%s"),
    "id with space": Case(200, request_id=b"a b"),
    "id in Cyrillic": Case(200, request_id="задание".encode()),
    "id of 256": Case(400, request_id=b"j" * 256),
    "id empty": Case(400, request_id=b""),
    "id not UTF-8": Case(400, request_id=b"\xff"),
    "id with tab": Case(400, request_id=b"a\tb"),
    "id twice": Case(400, headers={REQUEST_ID: [b"job-1", b"job-1"]}),
    "account twice": Case(400, headers={USER_ID: [ACCOUNT.encode()] * 2}),
    "timestamp twice": Case(400, headers={TIMESTAMP: [b"%d" % NOW] * 2}),
    "signature twice": Case(400, headers={SIGNATURE: [b"00" * 64] * 2}),
    "another header twice": Case(200, headers={b"accept": [b"*/*", b"*/*"]}),
    "id missing": Case(401, headers={REQUEST_ID: ()}),
    "account missing": Case(401, headers={USER_ID: ()}),
    "timestamp missing": Case(401, headers={TIMESTAMP: ()}),
    "signature missing": Case(401, headers={SIGNATURE: ()}),
    "content type in capitals": Case(200, headers={CONTENT_TYPE: [b"Application/JSON"]}),
    "content type with parameters": Case(200, headers={CONTENT_TYPE: [b"application/json;charset=UTF-8;v=1"]}),
    "content type of a form": Case(415, headers={CONTENT_TYPE: [b"application/x-www-form-urlencoded"]}),
    "content type missing": Case(415, headers={CONTENT_TYPE: ()}),
    "content type twice": Case(415, headers={CONTENT_TYPE: [b"application/json"] * 2}),
    "gzip": Case(415, headers={ENCODING: [b"gzip"]}),
    "identity": Case(415, headers={ENCODING: [b"identity"]}),
    "host missing": Case(400, headers={HOST: ()}),
    "host twice": Case(400, headers={HOST: [b"aibots.kz"] * 2}),
    "host foreign": Case(400, headers={HOST: [b"aibots.kz.example"]}),
    "host empty": Case(400, headers={HOST: [b""]}),
    "host with a port too high": Case(400, headers={HOST: [b"aibots.kz:65536"]}),
    "host with a user": Case(400, headers={HOST: [b"a@aibots.kz"]}),
    "host IPv6 of another": Case(400, headers={HOST: [b"[2001:db8::1]"]}),
    "host IPv6 broken": Case(400, headers={HOST: [b"[::1"]}),
    "target with a host": Case(400, scope={"raw_path": b"http://aibots.kz" + PATH.encode()}),
    "escaped path": Case(404, scope={"raw_path": PATH.replace("_", "%5F").encode()}),
    "no raw path": Case(200, scope={"raw_path": None}),
    "unknown path": Case(404, scope={"path": "/nowhere", "raw_path": b"/nowhere"}),
    "GET": Case(405, scope={"method": "GET"}),
    "OPTIONS": Case(405, scope={"method": "OPTIONS"}),
    "method in small letters": Case(405, scope={"method": "post"}),
    "stranger": Case(403, scope={"client": (STRANGER, 50_000)}),
    "stranger, reported": Case(200, scope={"client": (STRANGER, 50_000)}, settings={"ip_filter": "report"}),
    "stranger who claims to be fal": behind(403, FAL, peer=(STRANGER, 50_000)),
    "stranger behind a proxy": behind(403, STRANGER.encode()),
    "fal before a stranger": behind(403, FAL + b", " + STRANGER.encode()),
    "junk behind a proxy": behind(403, b"junk"),
    "junk after fal": behind(403, FAL + b", junk"),
    "nobody behind a proxy": behind(403, b""),
    "empty hops only": behind(403, b" , "),
    "stranger with a port behind a proxy": behind(403, STRANGER.encode() + b":4711"),
    "forwarded twice": behind(200, STRANGER.encode(), FAL),
    "forwarded twice, fal first": behind(403, FAL, STRANGER.encode()),
    "peer without an address": Case(403, scope={"client": ("unix", 0)}),
    "peer unknown": Case(403, scope={"client": None}),
    "peer unknown who claims to be fal": behind(403, FAL, peer=None, settings=UNIX),
    "body in two pieces": Case(200, body=(BODY[:5], BODY[5:])),
    "body and an empty piece": Case(200, body=(BODY, b"")),
    "body over the limit": Case(413, body=(b"x" * (LIMIT + 1),)),
    "body over the limit, without a length": Case(413, body=(b"x" * (LIMIT + 1),), headers={b"content-length": ()}),
    "body over the limit in pieces": Case(413, body=(b"x" * LIMIT, b"x")),
    "gone before the body": Case(400, messages=[{"type": "http.disconnect"}]),
    "gone within the body": Case(
        400, messages=[{"type": "http.request", "body": BODY[:3], "more_body": True}, {"type": "http.disconnect"}]
    ),
    "probe": unsigned(200, b'{"test": true}'),
    "probe by its id": unsigned(200, b'{"request_id": "test-1"}'),
    "no probe": unsigned(401, b'{"test": 1}'),
    "unsigned": unsigned(401, BODY),
    "unsigned, no JSON": unsigned(401, b"\x00"),
    "memory full": Case(503, before=fill_memory),
    "memory full for strangers": Case(
        503,
        scope={"client": (STRANGER, 50_000)},
        settings={"ip_filter": "off"},
        before=fill_memory_of_strangers,
    ),
}
CASES = ORDINARY | ODD


@dataclass
class Lanes:
    """A running application and the two ways into it; `by_full` counts how often the lean lane passed on."""

    lean: LeanLane
    full: ASGIApp
    parts: WebhookParts
    database_url: str
    by_full: int = 0

    async def rows(self) -> list[dict[str, Any]]:
        database = open_database(self.database_url)
        try:
            with database.engine.connect().execution_options(write=False) as connection:
                return [dict(row) for row in connection.execute(select(deliveries).order_by("id")).mappings()]
        finally:
            await database.close()


@dataclass(frozen=True)
class Seen:
    """All that one way makes of a case."""

    answers: list[list[Message]]
    rows: list[dict[str, Any]]
    events: list[dict[str, Any]]
    memory_held: int
    foreign_accounts: int


Open = Callable[[Case], Any]


@pytest.fixture
def lanes(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """An application of its own, on a database of its own, with fal's two keys; time stands still."""
    monkeypatch.setattr(import_module("app.bootstrap.running"), "SystemClock", FrozenClock)

    numbers = count()

    def folder_with_database() -> Path:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        (folder / "aisha.db").write_bytes(sqlite_template.read_bytes())
        return folder

    @asynccontextmanager
    async def start(case: Case) -> AsyncIterator[Lanes]:
        folder = folder_with_database()
        database_url = f"sqlite:///{folder / 'aisha.db'}"
        settings = Settings.model_validate(
            {
                "database_url": database_url,
                "data_dir": folder,
                "fal_user_id": ACCOUNT,
                "fal_jwks_urls": ("http://127.0.0.1:9/jwks.json",),
                "fal_api_url": "http://127.0.0.1:9",
                "max_body_bytes": LIMIT,
            }
        ).model_copy(update=dict(case.settings))
        published = {"keys": [key.jwk() for key in KEYS]}
        await write_copy(folder / "fal-keys.json", START, published)
        app = create_app(settings)
        async with running(settings) as services:
            parts = app.state.webhook_parts = _webhook_parts(settings, services.ingest)
            lean = enclose(app, settings)
            assert isinstance(lean, LeanLane)
            opened = Lanes(lean, lean.full, parts, database_url)

            async def counted(scope: Scope, receive: Receive, send: Send) -> None:
                opened.by_full += 1
                await opened.full(scope, receive, send)

            lean.full = counted
            with monkeypatch.context() as changes:
                case.before(parts, changes)
                yield opened

    return start


async def ask(app: ASGIApp, case: Case) -> list[Message]:
    """Send a case once and return what ASGI sent back."""
    scope, waiting, sent = case.whole_scope(), case.all_messages(), list[Message]()
    scope = {name: value for name, value in scope.items() if not (name == "raw_path" and value is None)}

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def look(opened: Lanes, app: ASGIApp, case: Case) -> Seen:
    """Send a case as often as it says and gather all that came of it."""
    held = opened.parts.memory.present
    with capture_logs() as events:
        answers = [await ask(app, case) for _ in range(case.times)]
    kinds = opened.parts.kinds.values()
    return Seen(
        answers,
        await opened.rows(),
        [{name: type(value) if name == "exc_info" else value for name, value in event.items()} for event in events],
        opened.parts.memory.present - held,
        sum(kind.authenticator.foreign_accounts() for kind in kinds),
    )


@pytest.mark.parametrize("name", CASES)
async def test_both_ways_give_the_same(lanes: Open, name: str) -> None:
    """Status, headers, body, rows, log events and memory are the same by the short way as by the full one.

    The full way is not called for what is in order, whether it can be stored or not.
    """
    case = CASES[name]
    async with lanes(case) as opened:
        by_lean = await look(opened, opened.lean, case)
        assert name not in ORDINARY or opened.by_full == 0
    async with lanes(case) as opened:
        by_full = await look(opened, opened.full, case)
    assert by_lean == by_full
    assert [answer[0]["status"] for answer in by_full.answers] == [case.status] * case.times
    assert by_full.memory_held == 0
