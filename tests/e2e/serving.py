"""The whole server in a process of its own, with a certificate that a public authority could have issued."""

import contextlib
import datetime as dt
import ipaddress
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.tls.certificates import pkcs8
from tests.process.conftest import ROOT

LIFETIME = dt.timedelta(days=90)


@dataclass
class Served:
    """A running server: where it listens, what it writes, and what a client must trust."""

    port: int
    folder: Path
    process: subprocess.Popen[str]
    ca: Path

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))

    def log(self) -> str:
        return (self.folder / "logs" / "api_server.log").read_text(encoding="utf-8")


@dataclass
class Pair:
    """The files that the server is pointed at."""

    cert: Path
    key: Path
    ca: Path

    def settings(self) -> dict[str, str]:
        return {"SSL_CERT_PATH": str(self.cert), "SSL_KEY_PATH": str(self.key)}


def short_lived(folder: Path) -> Pair:
    """Make a pair like Let's Encrypt's: ECDSA P-256, 90 days, as strict verifiers want it, under a root of its own."""
    now = dt.datetime.now(dt.UTC)  # noqa: TID251  validity is judged by the real clock
    root_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    identifier = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A root for tests")])
    blank = x509.CertificateBuilder().issuer_name(root_name).not_valid_before(now).not_valid_after(now + LIFETIME)
    root = (
        blank.subject_name(root_name)
        .public_key(root_key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(_usage(of_root=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
    leaf = (
        blank.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]))
        .public_key(leaf_key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .add_extension(_usage(of_root=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    pair = Pair(folder / "leaf.crt", folder / "leaf.key", folder / "root.pem")
    pair.cert.write_bytes(leaf.public_bytes(Encoding.PEM))
    pair.key.touch(0o600)
    pair.key.write_bytes(pkcs8(leaf_key))
    pair.ca.write_bytes(root.public_bytes(Encoding.PEM))
    return pair


def _usage(*, of_root: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not of_root,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=of_root,
        crl_sign=of_root,
        encipher_only=False,
        decipher_only=False,
    )


@contextlib.contextmanager
def serving(folder: Path, pair: Pair, **settings: str) -> Iterator[Served]:
    """Run the server in `folder` until the block ends; it must leave with 0."""
    folder.mkdir(exist_ok=True)
    nobody = "http://127.0.0.1:9"  # fal and Telegram are not needed, and not reached
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": str(ROOT),
        "API_HOST": "127.0.0.1",
        "API_PORT": "0",
        "DEFAULT_LANGUAGE": "en",
        "FAL_JWKS_URLS": f"{nobody}/jwks.json",
        "FAL_QUEUE_URL": nobody,
        "FAL_STORAGE_URL": nobody,
        "FAL_API_URL": nobody,
        "TELEGRAM_API_URL": nobody,
        "ARTIFACT_CHECK": "off",
        **pair.settings(),
        **settings,
    }
    command = [sys.executable, str(ROOT / "run_api_server.py")]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            port = next(int(line.rpartition(":")[2]) for line in process.stdout if "on this machine" in line)
            yield Served(port, folder, process, pair.ca)
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
        finally:
            process.kill()
