"""The doctor on an installation of twins: healthy, and then with one fact changed at a time."""

import asyncio
import functools
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.cli.doctor import visit
from app.core.clock import SystemClock
from app.core.config import Settings
from app.db.engine import open_database
from app.doctor import fix as repairs
from app.doctor.finding import Finding, Level
from app.doctor.host.asking import Reply, Target
from app.doctor.host.commands import Answer
from app.doctor.machine import Machine
from app.doctor.tls.examination import Examined, examine_files
from app.doctor.tls.served import examine_served
from app.domain.language import Language
from app.tls.served import ServedPair
from app.twins.fal import FalTwin
from app.twins.faults import Instead
from app.twins.signing import ACCOUNT
from app.twins.telegram import TelegramTwin
from tests.authorities import DOMAIN as ISSUED_NAME
from tests.authorities import Lineage

pytestmark = pytest.mark.anyio

PATH = "/api/v1/avatar/status_update"
DOMAIN = "webhook.example.com"
TOKEN = "123456789:canary-7f3aAAbbCCddEEffGGhhIIjjKKllMM"
KEY = "key-id:canary-7f3a"
GIB = 1 << 30


@dataclass
class Room:
    total: int = 100 * GIB
    free: int = 50 * GIB


@dataclass
class Patient:
    """One installation; a test changes it and then has it examined."""

    folder: Path
    fal: FalTwin
    fal_url: str
    telegram: TelegramTwin
    machine: Machine
    settings: dict[str, Any]
    commands: dict[str, Answer] = field(default_factory=dict)
    addresses: list[str] = field(default_factory=lambda: ["93.184.216.34"])
    replies: dict[str, Reply] = field(default_factory=dict)
    room: Room = field(default_factory=Room)
    billing: Response | None = None

    def run(self, words: Sequence[str]) -> Answer | None:
        return self.commands.get(words[0])

    def ask(self, target: Target, method: str, path: str, body: bytes | None) -> Reply:
        if target.address == DOMAIN and "public" in self.replies:
            return self.replies["public"]
        document: dict[str, Any] = {"status": "received", "test": True}
        if path == "/health":
            document = {"status": "healthy", "service": "Aisha Bot FAL Webhook API"}
        return self.replies.get(path) or Reply(200, json.dumps(document).encode(), "")

    async def examine(self, *, fix: bool = False) -> list[Finding]:
        done, found = await visit(Settings(**self.settings), self.machine, only_tls=False, fix=fix)
        return [*done, *found]


def seen(*_: object) -> Examined:
    return Examined((Finding("files.ok", Level.OK, "fine"),), None)


def served(*_: object) -> list[Finding]:
    return [Finding("served.ok", Level.OK, "fine")]


@pytest.fixture
async def patient(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Patient]:
    monkeypatch.chdir(tmp_path)
    fal = FalTwin(api_key=KEY)
    telegram = TelegramTwin(tokens=[TOKEN])
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        patient = Patient(tmp_path, fal, "", telegram, Machine(), {})

        async def billing(_request: Request) -> Response:
            return patient.billing or Response(status_code=403)

        fal.app.routes.insert(0, Route("/v1/account/billing", billing))
        patient.fal_url = await stack.enter_async_context(fal.serve())
        telegram_url = await stack.enter_async_context(telegram.serve())
        patient.settings = {
            "api_port": port,
            "api_domain": DOMAIN,
            "allowed_hosts": DOMAIN,
            "database_url": SecretStr(sqlite_url),
            "data_dir": tmp_path,
            "log_dir": tmp_path,
            "telegram_token": SecretStr(TOKEN),
            "telegram_api_url": telegram_url,
            "operator_chat_id": 1,
            "default_language": "en",
            "fal_api_key": SecretStr(KEY),
            "fal_user_id": ACCOUNT,
            "fal_webhook_url": f"https://{DOMAIN}:{port}{PATH}",
            "fal_jwks_urls": f"{patient.fal_url}/.well-known/jwks.json",
            "fal_queue_url": patient.fal_url,
            "fal_api_url": patient.fal_url,
            "fal_storage_url": patient.fal_url,
        }
        patient.machine = Machine(
            run=patient.run,
            resolve=lambda _: patient.addresses,
            ask=patient.ask,
            usage=lambda _: patient.room,
            examine_files=seen,
            examine_served=served,
            patience=20,
            env_file=tmp_path / ".env",
            hosts_file=tmp_path / "hosts",
            nginx_folder=tmp_path / "nginx",
        )
        yield patient


async def test_a_healthy_installation_is_well(patient: Patient) -> None:
    """Where everything is as it should be, every finding is ok."""
    found = await patient.examine()
    assert {one.level for one in found} == {Level.OK}, [one for one in found if one.level is not Level.OK]
    assert {"telegram.ok", "fal_keys.ok", "clock.ok", "addresses.ok", "fal_key.taken", "database.ok"} <= {
        one.code for one in found
    }


def with_setting(**changes: Any) -> Callable[[Patient], None]:
    return lambda patient: patient.settings.update(changes)


def with_clock(seconds: float) -> Callable[[Patient], None]:
    def change(patient: Patient) -> None:
        shift = timedelta(seconds=seconds)
        patient.machine = replace(patient.machine, now=lambda: SystemClock().now() + shift)

    return change


def with_billing(balance: object) -> Callable[[Patient], None]:
    def change(patient: Patient) -> None:
        body = json.dumps({"username": "aisha", "credits": {"current_balance": balance, "currency": "USD"}})
        patient.billing = Response(body, media_type="application/json")

    return change


def with_env(content: str, mode: int = 0o600) -> Callable[[Patient], None]:
    def change(patient: Patient) -> None:
        path = patient.folder / ".env"
        path.write_text(content)
        path.chmod(mode)

    return change


def with_nginx(server: str) -> Callable[[Patient], None]:
    def change(patient: Patient) -> None:
        patient.settings["fal_webhook_url"] = f"https://{DOMAIN}{PATH}"
        patient.commands["nginx"] = Answer(0, f"server {{ listen 443 ssl; server_name {DOMAIN}; {server} }}")

    return change


def refuse_fal_key(patient: Patient) -> None:
    patient.settings["fal_api_key"] = SecretStr("another:canary-7f3a")


def lock_account(patient: Patient) -> None:
    patient.fal.queue_fault = Instead(403, b'{"detail": "User is locked. Reason: Exhausted balance."}')


def lock_orders(patient: Patient) -> None:
    patient.fal.storage_fault = Instead(403, b'{"detail": "User is locked. Reason: Exhausted balance."}')


def take_all_keys(patient: Patient) -> None:
    patient.fal.set_jwks("low_order")
    patient.fal.set_jwks("no_keys")


def first_key_url_is_dead(patient: Patient) -> None:
    patient.settings["fal_jwks_urls"] = ",".join(
        [f"{patient.fal_url}/nowhere.json", f"{patient.fal_url}/.well-known/jwks.json"]
    )


def revoke_token(patient: Patient) -> None:
    patient.telegram.tokens = []


def telegram_is_down(patient: Patient) -> None:
    patient.settings["telegram_api_url"] = "http://127.0.0.1:9"


def telegram_stutters(patient: Patient) -> None:
    patient.telegram.fail(Instead(500, b'{"ok": false, "error_code": 500, "description": "oops"}'), standing=True)


def listen_nowhere(patient: Patient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        patient.settings["api_port"] = listener.getsockname()[1]


def put_env_into_git(patient: Patient) -> None:
    (patient.folder / ".env").touch(mode=0o600)
    patient.commands["git"] = Answer(0, ".env\n")


def forget_the_database(patient: Patient) -> None:
    patient.settings["database_url"] = SecretStr(f"sqlite:///{patient.folder}/none/aisha.db")


def damage_the_database(patient: Patient) -> None:
    path = patient.folder / "aisha.db"
    content = bytearray(path.read_bytes())
    content[4096:12288] = b"\xa5" * 8192
    path.write_bytes(content)


def sql(*statements: str) -> Callable[[Patient], Any]:
    async def change(patient: Patient) -> None:
        database = open_database(f"sqlite:///{patient.folder}/aisha.db")
        with database.engine.begin() as transaction:
            for statement in statements:
                transaction.execute(text(statement))
        await database.close()

    return change


DAY = "'2026-11-22'"
DEAD_ROWS = [
    f"""INSERT INTO webhook_deliveries
        (request_id, body_sha256, headers, source, state, due_at, received_at, stored_at, last_received_at)
        VALUES ('r', 'x', '{{}}', 'webhook', 'dead', {DAY}, {DAY}, {DAY}, {DAY})""",
    *(
        f"""INSERT INTO webhook_notifications
        (delivery_id, avatar_id, request_id, kind, avatar_name, owner_id, language, state,
        due_at, received_at, stored_at, applied_at)
        VALUES (1, '{state}', 'r', 'ready', 'a', 'o', 'ru', '{state}', {DAY}, {DAY}, {DAY}, {DAY})"""
        for state in ("dead", "unsent")
    ),
]

TABLE: dict[str, tuple[Callable[[Patient], Any], str, Level]] = {
    "name unknown to fal": (lambda p: p.addresses.__setitem__(0, "10.0.0.7"), "dns.private", Level.FAIL),
    "name in the hosts file": (
        lambda p: (p.folder / "hosts").write_text(f"127.0.1.1 {DOMAIN}\n"),
        "dns.hosts_file",
        Level.WARN,
    ),
    "nobody listens": (listen_nowhere, "port.silent", Level.FAIL),
    "another server": (
        lambda p: p.replies.__setitem__("/health", Reply(200, b"nginx", "")),
        "port.foreign",
        Level.FAIL,
    ),
    "port zero": (with_setting(api_port=0), "port.any", Level.WARN),
    "loopback only": (with_setting(api_host="127.0.0.1"), "port.loopback_only", Level.WARN),
    "no TLS": (with_setting(ssl_enabled=False), "port.no_tls", Level.FAIL),
    "redirect outside": (
        lambda p: p.replies.__setitem__("public", Reply(301, b"", "https://www.example.com/")),
        "webhook.redirected",
        Level.FAIL,
    ),
    "host refused": (
        lambda p: p.replies.__setitem__("public", Reply(400, b'{"code": "host_not_allowed"}', "")),
        "webhook.odd",
        Level.WARN,
    ),
    "wrong webhook path": (
        with_setting(fal_webhook_url=f"https://{DOMAIN}/hook"),
        "webhook_url.path",
        Level.FAIL,
    ),
    "wrong webhook host": (
        with_setting(fal_webhook_url=f"https://elsewhere.example.org{PATH}"),
        "webhook_url.host",
        Level.FAIL,
    ),
    "firewall unseen": (
        lambda p: p.commands.__setitem__("nft", Answer(1, "Operation not permitted")),
        "firewall.unknown",
        Level.WARN,
    ),
    "nginx redirects": (with_nginx("return 301 https://www.example.com;"), "nginx.redirects", Level.FAIL),
    "nginx drops": (with_nginx("root /var/www;"), "nginx.not_passed_on", Level.FAIL),
    "nginx limits": (
        with_nginx(f"client_max_body_size 1k; location {PATH} {{ proxy_pass https://127.0.0.1:8443; }}"),
        "nginx.body_too_small",
        Level.FAIL,
    ),
    "nginx's key is root's": (
        with_nginx(f"ssl_certificate /no/c; ssl_certificate_key /no/k; location {PATH} {{ proxy_pass http://x; }}"),
        "nginx.certificate_unreadable",
        Level.WARN,
    ),
    "no database": (forget_the_database, "database.absent", Level.WARN),
    "damaged database": (damage_the_database, "database.damaged", Level.FAIL),
    "database out of reach (fault 8)": (
        with_setting(database_url=SecretStr("postgresql://aisha:canary-7f3a@127.0.0.1:9/aisha")),
        "database.unreachable",
        Level.FAIL,
    ),
    "old database": (sql("UPDATE webhook_schema_version SET version_num = '0000'"), "database.behind", Level.FAIL),
    "not the bot's database": (sql("DROP TABLE avatars"), "database.not_the_bots", Level.FAIL),
    "keys are down": (lambda p: p.fal.set_jwks("down"), "fal_keys.unreachable", Level.FAIL),
    "no keys": (take_all_keys, "fal_keys.unreachable", Level.FAIL),
    "first key address is dead": (first_key_url_is_dead, "fal_keys.first_failed", Level.WARN),
    "clock ahead (fault 15)": (with_clock(+75), "clock.skewed", Level.WARN),
    "clock behind (fault 15)": (with_clock(-75), "clock.skewed", Level.WARN),
    "clock wrong (fault 15)": (with_clock(+301), "clock.wrong", Level.FAIL),
    "address list is down": (
        lambda p: setattr(p.fal, "meta_fault", Instead(500)),
        "addresses.unreachable",
        Level.WARN,
    ),
    "own addresses": (with_setting(allowed_ips="203.0.113.0/24"), "addresses.fixed", Level.OK),
    "account not pinned": (with_setting(fal_user_id=None), "account.unpinned", Level.WARN),
    "no fal key": (with_setting(fal_api_key=None), "fal_key.absent", Level.WARN),
    "fal key refused": (refuse_fal_key, "fal_key.refused", Level.FAIL),
    "fal account locked": (lock_account, "fal_key.locked", Level.FAIL),
    "fal account locked, states told": (lock_orders, "fal_key.locked", Level.FAIL),
    "fal queue is down": (lambda p: setattr(p.fal, "queue_fault", Instead(500)), "fal_key.unknown", Level.OK),
    "fal forbids, nobody knows why": (
        lambda p: setattr(p.fal, "queue_fault", Instead(403, b"{}")),
        "fal_key.unknown",
        Level.OK,
    ),
    "balance": (with_billing(24.5), "balance.ok", Level.OK),
    "little balance": (with_billing(1), "balance.low", Level.WARN),
    "no balance": (with_billing(0.0), "balance.empty", Level.FAIL),
    "balance of an unknown kind": (with_billing("plenty"), "balance.unknown", Level.OK),
    "no Telegram token": (with_setting(telegram_token=None), "telegram.no_token", Level.WARN),
    "token revoked (fault 42)": (revoke_token, "telegram.token_refused", Level.FAIL),
    "Telegram is down": (telegram_is_down, "telegram.unreachable", Level.FAIL),
    "Telegram stutters": (telegram_stutters, "telegram.unreachable", Level.FAIL),
    "no operator": (with_setting(operator_chat_id=None), "telegram.no_operator", Level.WARN),
    "disk nearly full (fault 4)": (lambda p: setattr(p.room, "free", GIB // 2), "disk.low", Level.WARN),
    "disk full (fault 4)": (lambda p: setattr(p.room, "free", 0), "disk.full", Level.FAIL),
    "secret in git": (put_env_into_git, "git.tracked", Level.FAIL),
    "quotes in .env": (with_env('API_PORT="8443"\n'), "envfile.quoted", Level.WARN),
    ".env for all eyes (fault 52)": (with_env("", 0o644), "envfile.world_readable", Level.WARN),
}


@pytest.mark.parametrize("name", TABLE)
async def test_each_changed_fact_is_found(patient: Patient, name: str) -> None:
    """One fact made wrong gives its code at its level, and no secret is in any finding."""
    change, code, level = TABLE[name]
    waiting = change(patient)
    if hasattr(waiting, "__await__"):
        await waiting
    found = await patient.examine()
    assert (code, level) in {(one.code, one.level) for one in found}
    assert "canary" not in repr(found)
    assert "look.broken" not in {one.code for one in found}


async def test_the_copy_in_force_is_told_with_its_age(patient: Patient) -> None:
    """Where fal's address list cannot be fetched, the finding says how old the copy is that counts."""
    patient.fal.meta_fault = Instead(200, b"<html>")
    fetched_at = SystemClock().now() - timedelta(days=3, hours=1)
    copy = {"fetched_at": fetched_at.isoformat(), "webhook_ip_ranges": ["203.0.113.7/32"]}
    (patient.folder / "fal-addresses.json").write_text(json.dumps(copy))
    found = {one.code: one.text for one in await patient.examine()}
    assert "a copy 3 days old" in found["addresses.unreachable"]


async def test_what_lies_dead_is_counted(patient: Patient) -> None:
    """Dead deliveries and messages are a warning with the command that lists them."""
    await sql(*DEAD_ROWS)(patient)
    found = {one.code: one for one in await patient.examine()}
    assert found["deliveries.dead"].command == "aisha-webhook deliveries list --state dead"
    assert found["notifications.dead"].level is Level.WARN
    assert found["notifications.unsent"].level is Level.WARN


async def test_fix_mends_the_env_file_and_then_looks_again(patient: Patient) -> None:
    """With --fix what was mended is told first, and is not found wrong any more."""
    with_env('API_DEBUG="false"\n', 0o644)(patient)
    codes = [one.code for one in await patient.examine(fix=True)]
    assert codes[:2] == ["envfile.fixed", "envfile.fixed"]
    assert "envfile.ok" in codes


@pytest.fixture
def lineage(patient: Patient) -> Lineage:
    """The patient with a certificate of a root that this machine trusts."""
    folder = patient.folder / "ssl"
    folder.mkdir()
    lineage = Lineage(folder, since=SystemClock().now() - timedelta(days=1))
    patient.machine = replace(patient.machine, examine_files=functools.partial(examine_files, roots=lineage.roots))
    patient.settings |= {
        "api_domain": ISSUED_NAME,
        "allowed_hosts": ISSUED_NAME,
        "fal_webhook_url": None,
        "ssl_cert_path": lineage.paths.cert,
        "ssl_key_path": lineage.paths.key,
        "ssl_ca_bundle_path": lineage.paths.ca_bundle,
    }
    return lineage


async def test_fix_closes_a_key_that_others_may_read(patient: Patient, lineage: Lineage) -> None:
    """fault 40: --fix takes others' right to the private key, and the look after it finds nothing left."""
    lineage.paths.key.chmod(0o644)
    codes = [one.code for one in await patient.examine(fix=True)]
    assert codes[0] == "repair.key_mode"
    assert "files.key_open" not in codes
    assert lineage.paths.key.stat().st_mode & 0o777 == 0o640


async def test_fix_fetches_the_issuer_that_the_certificate_names(patient: Patient, lineage: Lineage) -> None:
    """fault 39: a missing intermediate is fetched from the certificate's own address, and the chain is trusted then."""
    patient.fal.app.routes.insert(0, Route("/issuer.der", lambda _: Response(lineage.middle.der)))
    lineage.give(since=SystemClock().now() - timedelta(days=1), address=f"{patient.fal_url}/issuer.der")
    lineage.paths.ca_bundle.unlink()
    before = {one.code for one in await patient.examine()}
    after = [one.code for one in await patient.examine(fix=True)]
    assert "chain.issuer_missing" in before
    assert after[0] == "repair.chain"
    assert "trust.ok" in after


async def test_a_look_that_is_late_is_followed_by_no_repair(
    patient: Patient, lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the issuers did not come in time, that is told, and nothing is written afterwards."""
    lineage.paths.key.chmod(0o644)
    monkeypatch.setattr(repairs, "FILE_SECONDS", 0.0)
    monkeypatch.setattr(repairs, "FETCH_SECONDS", 0.0)
    codes = [one.code for one in await patient.examine(fix=True)]
    assert codes[0] == "look.late"
    assert "repair.key_mode" not in codes
    assert lineage.paths.key.stat().st_mode & 0o777 == 0o644


async def test_the_port_is_asked_by_a_name_that_is_let_in(patient: Patient) -> None:
    """Where ALLOWED_HOSTS lacks localhost, a healthy server is not called another's."""
    asked = []

    def ask(target: Target, method: str, path: str, body: bytes | None) -> Reply:
        if path == "/health":
            asked.append(target.name)
        return patient.ask(target, method, path, body)

    patient.settings["allowed_hosts"] = "*.example.com"
    patient.machine = replace(patient.machine, ask=ask)
    await patient.examine()
    assert asked == ["webhook.example.com"]


async def test_nginx_s_own_certificate_is_examined(patient: Patient, lineage: Lineage) -> None:
    """Where nginx shows a pair of its own, that one is judged, too."""
    with_nginx(
        f"ssl_certificate {lineage.paths.cert}; ssl_certificate_key {lineage.paths.key}; "
        f"location {PATH} {{ proxy_pass http://127.0.0.1:1; }}"
    )(patient)
    patient.settings |= {"ssl_enabled": False, "fal_webhook_url": f"https://{ISSUED_NAME}{PATH}"}
    patient.commands["nginx"] = replace(
        patient.commands["nginx"], text=patient.commands["nginx"].text.replace(DOMAIN, ISSUED_NAME)
    )
    codes = [one.code for one in await patient.examine()]
    assert {"nginx.ok", "files.ok"} <= set(codes)
    assert any(
        code.startswith("chain.issuer_") for code in codes
    )  # the intermediate is in a file that nginx never reads
    assert "port.no_tls" not in codes


@asynccontextmanager
async def nginx_showing(lineage: Lineage) -> AsyncIterator[int]:
    """Something that goes on with the pair it was started with, as nginx does; yields its port."""
    file = lineage.paths.cert.with_name("of-nginx.pem")
    file.write_bytes(lineage.leaf.pem + lineage.leaf.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("is_renewed", "code", "command"),
    [
        (True, "served.other_certificate", "sudo nginx -t && sudo systemctl reload nginx"),
        (False, "served.ok", ""),
    ],
)
async def test_nginx_that_was_not_reloaded_is_told(
    patient: Patient, lineage: Lineage, *, is_renewed: bool, code: str, command: str
) -> None:
    """fault 41: after a renewal nginx shows the former certificate until it is reloaded, and the doctor says so."""
    patient.machine = replace(patient.machine, examine_served=examine_served)
    async with nginx_showing(lineage) as port:
        if is_renewed:
            lineage.give(since=SystemClock().now() - timedelta(hours=1))
        pair = f"ssl_certificate {lineage.paths.cert}; ssl_certificate_key {lineage.paths.key};"
        server = f"listen {port} ssl; server_name {ISSUED_NAME}; {pair} location / {{ proxy_pass http://127.0.0.1:1; }}"
        patient.commands["nginx"] = Answer(0, f"server {{ {server} }}")
        patient.settings |= {"ssl_enabled": False, "fal_webhook_url": f"https://{ISSUED_NAME}:{port}{PATH}"}
        found = {one.code: one for one in await patient.examine() if one.code.startswith("served.")}
    assert {name: one.command for name, one in found.items()} == {code: command}
    assert f"127.0.0.1:{port}" in found[code].text


async def test_nginx_that_hands_tls_on_must_show_our_pair(patient: Patient, lineage: Lineage) -> None:
    """Where nginx does not read TLS, each of its ports is compared with the pair of our settings."""
    asked = []

    def examine(address: tuple[str, int], name: str, pair: ServedPair | None, _: Language) -> list[Finding]:
        assert pair is not None
        asked.append((address, name, pair.leaf == lineage.leaf.certificate))
        return [Finding("served.other_certificate", Level.FAIL, "", "", "as for our own port")]

    own = patient.settings["api_port"]
    listens = "listen 443; listen [::]:443; listen 192.0.2.1:8443;"
    patient.commands["nginx"] = Answer(0, f"stream {{ server {{ {listens} proxy_pass 127.0.0.1:{own}; }} }}")
    patient.machine = replace(patient.machine, examine_served=examine)
    found = await patient.examine()
    assert sorted(asked) == [
        (("127.0.0.1", 443), ISSUED_NAME, True),
        (("127.0.0.1", own), ISSUED_NAME, True),
        (("192.0.2.1", 8443), ISSUED_NAME, True),
    ]
    assert {one.command for one in found if one.code.startswith("served.")} == {"as for our own port"}


async def test_tls_alone_asks_nobody_outside(patient: Patient) -> None:
    """`doctor tls` looks at certificates and redirects; fal and Telegram are not called."""
    _, found = await visit(Settings(**patient.settings), patient.machine, only_tls=True, fix=False)
    assert {one.code for one in found} == {"files.ok", "served.ok", "port.ours", "webhook.answers"}
    assert (patient.fal.calls, patient.telegram.calls) == ([], [])


async def test_every_look_that_breaks_is_told_and_hides_none(patient: Patient) -> None:
    """A machine whose programs crash and whose disks cannot be asked still gets every other finding."""

    def crash(*_: object) -> Any:
        raise RuntimeError(TOKEN)

    patient.machine = replace(patient.machine, run=crash, usage=crash, resolve=crash, examine_files=crash)
    found = await patient.examine()
    assert "canary" not in repr(found)
    assert {"look.broken", "telegram.ok", "fal_keys.ok", "database.ok"} <= {one.code for one in found}
    assert Level.FAIL not in {one.level for one in found}
