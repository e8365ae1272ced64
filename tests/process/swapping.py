"""Handshakes without end while the certificate changes under them."""

import random
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.process.listening import Files, Running

CLIENTS = 4


@dataclass
class Handshakes:
    """What clients were shown: how often each certificate, and each failure."""

    shown: Counter[bytes] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def shake(server: Running) -> bytes:
    """Return the fingerprint of the certificate that a client is shown now."""
    with server.connect() as connection:
        assert isinstance(connection, ssl.SSLSocket)
        der = connection.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der).fingerprint(hashes.SHA256())


@contextmanager
def shaking(server: Running, at_least: int) -> Iterator[Handshakes]:
    """Shake hands from several clients until the block has ended and there were `at_least`."""
    seen, over, counting = Handshakes(), threading.Event(), threading.Lock()

    def client() -> None:
        while not over.is_set() or seen.shown.total() + len(seen.failures) < at_least:
            try:
                shown = shake(server)
            except OSError as error:
                with counting:
                    seen.failures.append(repr(error))
            else:
                with counting:
                    seen.shown[shown] += 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(client) for _ in range(CLIENTS)]
        try:
            yield seen
        finally:
            over.set()
            for each in clients:
                each.result()


def spoil(files: Files, chance: random.Random) -> None:
    """Leave the files as a renewal finds or leaves them half way: cut short, empty, or a pair that is none."""
    match chance.randrange(4):
        case 0:
            files.cert.write_bytes(files.cert.read_bytes()[: chance.randrange(900)])
        case 1:
            files.key.write_bytes(b"")
        case 2:
            files.key.write_bytes(trustme.CA().issue_cert("localhost").private_key_pem.bytes())
        case _:
            files.cert.unlink()


def served_after(server: Running, wanted: bytes, within: float) -> float:
    """Return the seconds until a client is shown `wanted`."""
    start = time.monotonic()
    while shake(server) != wanted:
        assert time.monotonic() - start < within, "it was never served"
        time.sleep(0.02)
    return time.monotonic() - start
