"""Certificates of a real ACME authority, renewed by certbot while requests come in (fault 41)."""

import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.authority import NAME, authority, needs_tools
from tests.e2e.serving import Pair, Served, serving
from tests.faults.rig import tell

RENEWALS, CLIENTS = 5, 4
SERVED_WITHIN = 10.0  # s
HEALTH = f"GET /health HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode()
HOOK = """#!/bin/sh
set -e
install -m 600 "$RENEWED_LINEAGE/fullchain.pem" "{pair.cert}"
sleep 0.2
install -m 600 "$RENEWED_LINEAGE/privkey.pem" "{pair.key}"
"""


def ask(served: Served, client: ssl.SSLContext) -> str:
    """Ask once over a connection of its own; return the serial number of the certificate. Raises OSError."""
    with (
        socket.create_connection(("127.0.0.1", served.port), timeout=10) as plain,
        client.wrap_socket(plain, server_hostname=NAME) as connection,
    ):
        connection.sendall(HEALTH)
        received = b""
        while part := connection.recv(65536):
            received += part
        if not received.startswith(b"HTTP/1.1 200 "):
            raise OSError(received[:100])
        certificate = connection.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])


@needs_tools
def test_renewals_by_certbot_cost_no_request(tmp_path: Path) -> None:
    """Five forced renewals through a deploy hook: each is served within 10 s, no request fails (fault 41)."""
    pair = Pair(tmp_path / "live.crt", tmp_path / "live.key", tmp_path / "unused")
    hook = tmp_path / "hook.sh"
    hook.write_text(HOOK.format(pair=pair))
    hook.chmod(0o700)
    with authority(tmp_path / "acme") as acme:
        acme.issue(hook)
        client = acme.client()
        settings = {"ALLOWED_HOSTS": NAME, "SSL_CA_BUNDLE_PATH": str(tmp_path / "none")}
        with serving(tmp_path / "server", pair, **settings) as served, ThreadPoolExecutor(CLIENTS) as pool:
            over, serials, failures, took = threading.Event(), list[str](), list[str](), list[float]()

            def traffic() -> None:
                while not over.is_set():
                    try:
                        serials.append(ask(served, client))
                    except OSError as error:
                        failures.append(repr(error))

            clients = [pool.submit(traffic) for _ in range(CLIENTS)]
            try:
                for _ in range(RENEWALS):
                    before = ask(served, client)
                    acme.renew()
                    start = time.monotonic()
                    while ask(served, client) == before:
                        assert time.monotonic() - start < SERVED_WITHIN
                        time.sleep(0.02)
                    took.append(time.monotonic() - start)
            finally:
                over.set()
                for each in clients:
                    each.result()
    slowest = f"{max(took):.1f} s"
    tell("renewal", renewals=len(set(serials)) - 1, requests=len(serials), failed=len(failures), slowest=slowest)
    assert failures == []
    assert len(set(serials)) == RENEWALS + 1
