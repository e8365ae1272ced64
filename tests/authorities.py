"""A certificate authority of our own, with every knob that a test turns: dates, names, keys, addresses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from app.tls.certificates import pkcs8
from app.tls.pair_files import PairPaths

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DOMAIN = "aibots.kz"
LIFE = timedelta(days=90)
CA_LIFE = timedelta(days=3650)
SIGNS = dict.fromkeys(
    ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
    False,
)


@dataclass(frozen=True)
class Issued:
    """A certificate with its key and the one above it."""

    certificate: x509.Certificate
    key: Any = field(repr=False)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        return pkcs8(self.key)


def issue(
    subject: str,
    by: Issued | None = None,
    *,
    key: Any = None,
    names: Sequence[str] = (),
    since: datetime = NOW - timedelta(days=1),
    until: datetime | None = None,
    address: str | None = None,
) -> Issued:
    """Issue a certificate: for a server when `names` are given, else an authority; `by` None signs itself.

    `address` is where the issuer is said to lie (caIssuers).
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    signer = by.key if by else key
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    is_ca = not names
    builder = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(by.certificate.subject if by else named)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until or since + (CA_LIFE if is_ca else LIFE))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=is_ca, crl_sign=is_ca, **SIGNS), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    if address:
        place = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(address)
        )
        builder = builder.add_extension(x509.AuthorityInformationAccess([place]), critical=False)
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Issued(builder.sign(signer, algorithm), key)


class Lineage:
    """Root, intermediate and leaf, written as the three files of the settings."""

    def __init__(self, folder: Path, **leaf: Any) -> None:
        self.root = issue("Test Root")
        self.middle = issue("Test Intermediate", self.root)
        self.paths = PairPaths(folder / "a.crt", folder / "a.key", folder / "a.ca-bundle")
        self.give(**leaf)

    def give(self, **leaf: Any) -> None:
        """Issue the leaf anew and write all three files, everything in order."""
        self.leaf = issue(DOMAIN, self.middle, **{"names": [DOMAIN, f"*.{DOMAIN}"], **leaf})
        self.paths.cert.write_bytes(self.leaf.pem)
        self.paths.key.write_bytes(self.leaf.key_pem)
        self.paths.key.chmod(0o600)
        self.paths.ca_bundle.write_bytes(self.middle.pem)

    @property
    def roots(self) -> list[x509.Certificate]:
        return [self.root.certificate]
