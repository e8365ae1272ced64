"""One HTTP request to this server: the certificate is not verified, and redirects are returned, not followed."""

import http.client
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

SECONDS = 4.0
KEPT = 64 * 1024  # bytes of a body
LOOPBACK = {"0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}  # noqa: S104  compared, not bound  # nosec B104


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and which name to use there: as server name in TLS and as Host."""

    address: str
    port: int
    name: str
    tls: bool = True

    @property
    def host_header(self) -> str:
        """The name with its port, as a client writes it."""
        return self.name if self.port == (443 if self.tls else 80) else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; `location` is empty unless it was a redirect."""

    status: int
    body: bytes
    location: str


def reachable(host: str) -> str:
    """Return the address at which a listener on `host` is reached from this machine: loopback for a wildcard."""
    return LOOPBACK.get(host, host)


def name_let_in(allowed_hosts: Sequence[str]) -> str:
    """Return a name for the Host header that the server lets in: ALLOWED_HOSTS need not hold `localhost`."""
    first = next((host.strip() for host in allowed_hosts), "*")
    if first == "*":
        return "localhost"
    if first.startswith("*."):
        return f"webhook{first[1:]}"
    return f"[{first}]" if ":" in first and not first.startswith("[") else first


Ask = Callable[[Target, str, str, bytes | None], Reply]


def ask(
    target: Target, method: str, path: str, body: bytes | None = None, more: Mapping[str, str] | None = None
) -> Reply:
    """Send one request; `more` are further headers. Raises OSError (TLS included) or http.client.HTTPException."""
    connection = _Connection(target) if target.tls else _plain(target)
    headers = {"Host": target.host_header, "Connection": "close", **(more or {})}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return Reply(answer.status, answer.read(KEPT), answer.getheader("Location", ""))
    finally:
        connection.close()


def _plain(target: Target) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(target.address, target.port, timeout=SECONDS)


class _Connection(http.client.HTTPSConnection):
    """Connects to one address, with another name as TLS server name."""

    def __init__(self, target: Target) -> None:
        # Not verified: the request tells who answers and how; trust is judged by app.doctor.tls.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # as said above
        super().__init__(target.address, target.port, timeout=SECONDS, context=context)
        self._name = target.name
        self._trust = context

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._trust.wrap_socket(self.sock, server_hostname=self._name)
