"""nginx as we ship it, in front of replicas: the files of deploy/nginx with ports and folders changed, nothing else."""

import datetime as dt
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.routers.fal_webhook import PATH
from app.twins.sender import FalSender
from tests import authorities
from tests.faults.rig import ANSWER_WITHIN, Rig, Server
from tests.ports import free_port
from tests.process.conftest import ROOT

SHIPPED = ROOT / "deploy" / "nginx"
NAME = "aibots.kz"
NGINX = shutil.which("nginx", path=f"{os.defpath}:/usr/sbin:/usr/local/sbin")
STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")  # where Debian has it
needs_nginx = pytest.mark.skipif(NGINX is None, reason="needs nginx: apt-get install nginx")
needs_stream = pytest.mark.skipif(
    NGINX is None or not STREAM.exists(), reason="needs nginx's stream module: apt-get install libnginx-mod-stream"
)

# What Debian's nginx.conf says around our file, the parts that our file must withstand.
DEBIAN = """
    ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    gzip on;
    types_hash_max_size 2048;
"""
# A client of these tests says by PROXY protocol where it comes from: all of loopback is one address otherwise.
CLAIMED = """
    listen 127.0.0.1:{claimed} ssl proxy_protocol;
    set_real_ip_from 127.0.0.1;
    real_ip_header proxy_protocol;
"""


@dataclass(frozen=True)
class Ports:
    """Where the shipped 80, 443 and 8443 are, and where clients may claim an address."""

    plain: int
    tls: int
    other: int
    claimed: int

    @classmethod
    def free(cls) -> "Ports":
        return cls(*(free_port() for _ in range(4)))

    def moved(self, text: str) -> str:
        """Move every `listen` of `text` from all addresses to loopback."""
        for shipped, port in ((80, self.plain), (443, self.tls), (8443, self.other)):
            text = text.replace(f"listen {shipped}", f"listen 127.0.0.1:{port}")
        # Not every machine has IPv6.
        return re.sub(r"(?m)^ +listen \[::\]:.*\n", "", text)


@dataclass
class Replica:
    """One of the servers behind nginx; `server` is the process that is, or was last, on `port`."""

    rig: Rig
    port: int
    server: Server
    settings: Mapping[str, str]

    async def start(self) -> None:
        self.server = await self.rig.start(port=self.port, **self.settings)


@dataclass
class Front:
    """A running nginx."""

    folder: Path
    ports: Ports
    ca: Path
    replicas: list[Replica] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.folder / "log" / "webhook_access.log"

    def connect(
        self, *, port: int | None = None, name: str = NAME, claims: str | None = None, timeout: float = 20
    ) -> ssl.SSLSocket:
        """Open TLS as `name`; `claims` is the address that nginx shall take us for."""
        plain = socket.create_connection(
            ("127.0.0.1", port or (self.ports.claimed if claims else self.ports.tls)), timeout=timeout
        )
        if claims:
            plain.sendall(f"PROXY TCP4 {claims} 127.0.0.1 40000 443\r\n".encode())
        context = ssl.create_default_context(cafile=str(self.ca))
        context.check_hostname = name == NAME
        return context.wrap_socket(plain, server_hostname=name)

    def ask(self, request: bytes, *, port: int | None = None, name: str = NAME, claims: str | None = None) -> bytes:
        """Send `request` and return all that comes until the connection ends."""
        with self.connect(port=port, name=name, claims=claims) as connection:
            return exchange(connection, request)

    def ask_plain(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.ports.plain), timeout=20) as connection:
            return exchange(connection, request)


def exchange(connection: socket.socket, request: bytes) -> bytes:
    """Send all of `request`, as far as anybody takes it; return all that comes back."""
    received = b""
    with suppress(OSError):
        connection.sendall(request)
    with suppress(ConnectionError, ssl.SSLError):
        while part := connection.recv(65536):
            received += part
    return received


def write_site(folder: Path, ports: Ports, replicas: tuple[int, int], changes: Mapping[str, str] | None = None) -> Path:
    """Write the shipped site and its snippets into `folder`, with `changes` (old text: new text) beside the places."""
    places = {
        "/etc/nginx/snippets": str(folder),
        f"/etc/letsencrypt/live/{NAME}": str(folder / "certificate"),
        "/var/log/aisha": str(folder / "log"),
        "/var/www/certbot": str(folder / "webroot"),
        "127.0.0.1:8444": f"127.0.0.1:{replicas[0]}",
        "127.0.0.1:8445": f"127.0.0.1:{replicas[1]}",
        **(changes or {}),
    }
    for name in ("certificate", "log", "webroot", "temp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for shipped in SHIPPED.glob("*.conf"):
        text = ports.moved(shipped.read_text(encoding="utf-8"))
        for old, new in places.items():
            text = text.replace(old, new)
        (folder / shipped.name).write_text(text, encoding="utf-8")
    site = folder / "aisha-webhook.conf"
    head, opening, rest = site.read_text(encoding="utf-8").rpartition("\nserver {\n")
    site.write_text(head + opening + CLAIMED.format(claimed=ports.claimed) + rest, encoding="utf-8")
    return site


def write_main(folder: Path, *, passthrough: bool = False, around: str = DEBIAN) -> Path:
    """Write the nginx.conf that includes the site, or the stream in its place."""
    temporary = "".join(
        f"    {kind}_temp_path {folder}/temp/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
    )
    lines = [
        "worker_processes 2;",
        "worker_rlimit_nofile 2048;",
        f"pid {folder}/nginx.pid;",
        f"error_log {folder}/log/error.log notice;",
    ]
    if os.geteuid() == 0:
        lines.insert(0, "user root;")  # the test's own folders are closed to everybody else
    if passthrough:
        lines.insert(0, f"load_module {STREAM};")
    lines.append("events {\n    worker_connections 768;\n}")
    if passthrough:
        lines.append(f"include {folder}/aisha-webhook-passthrough.conf;")
    else:
        lines.append(f"http {{{around}{temporary}    include {folder}/aisha-webhook.conf;\n}}")
    path = folder / "nginx.conf"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def issue(folder: Path) -> Path:
    """Make a pair as Let's Encrypt would (ECDSA P-256, 90 days) where the site looks for it; return whom to trust."""
    since = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)  # noqa: TID251  validity is judged by the real clock
    root = authorities.issue("Root of the tests", since=since)
    leaf = authorities.issue(NAME, root, names=[NAME], since=since)
    place = folder / "certificate"
    place.mkdir(parents=True, exist_ok=True)
    (place / "fullchain.pem").write_bytes(leaf.pem)
    (place / "privkey.pem").touch(0o600)
    (place / "privkey.pem").write_bytes(leaf.key_pem)
    (folder / "root.pem").write_bytes(root.pem)
    return folder / "root.pem"


def check_syntax(main: Path) -> tuple[int, str]:
    """Ask `nginx -t`: its exit code and everything it said."""
    assert NGINX is not None
    command = [NGINX, "-t", "-e", str(main.parent / "log" / "error.log"), "-c", str(main)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@contextmanager
def running_nginx(
    folder: Path, replicas: tuple[int, int], changes: Mapping[str, str] | None = None, *, passthrough: bool = False
) -> Iterator[Front]:
    """Run nginx in front of two replicas' ports until the block ends."""
    assert NGINX is not None
    folder.mkdir(parents=True, exist_ok=True)
    ports = Ports.free()
    write_site(folder, ports, replicas, changes)
    ca = issue(folder)
    main = write_main(folder, passthrough=passthrough)
    command = [NGINX, "-e", str(folder / "log" / "error.log"), "-c", str(main), "-g", "daemon off;"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(ports.tls, process, folder / "log" / "error.log")
            yield Front(folder, ports, ca)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 15
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise TimeoutError(log.read_text(encoding="utf-8"))


@asynccontextmanager
async def replicated(
    rig: Rig, folder: Path, changes: Mapping[str, str] | None = None, **settings: str
) -> AsyncIterator[Front]:
    """Run two replicas with `settings` behind nginx with `changes` to its file."""
    ports = (rig.port, free_port())
    replicas = [Replica(rig, port, await rig.start(port=port, **settings), settings) for port in ports]
    with running_nginx(folder / "nginx", ports, changes) as front:
        front.replicas += replicas
        yield front


@asynccontextmanager
async def fal(rig: Rig, front: Front, port: int | None = None) -> AsyncIterator[FalSender]:
    """Deliver through nginx, under the name that is in its certificate."""
    async with FalSender(
        f"https://127.0.0.1:{port or front.ports.tls}{PATH}",
        rig.outside.fal.key,
        ca_file=front.ca,
        server_name=NAME,
        first_timeout=ANSWER_WITHIN,
        retry_timeout=ANSWER_WITHIN,
    ) as sender:
        try:
            yield sender
        finally:
            rig.records += sender.log
