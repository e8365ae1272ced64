"""One certificate and its key: its facts, the errors of its files, and a self-signed pair where there is none."""

import fcntl
import ipaddress
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.domain.language import Language
from app.files.atomic_write import put
from app.tls.pair_files import PairPaths, broken

CERTIFICATE_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
SELF_SIGNED_LIFETIME = timedelta(days=365)  # Mozilla: at most 366
CLOCK_SLACK = timedelta(hours=1)
LONGEST_COMMON_NAME = 64  # X.520; clients read the alternative names instead
CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
# cryptography decodes a field when it is read, so one may prove invalid after the certificate itself was loaded.
ODD = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """The facts of one certificate.

    `days_left` is whole days until `not_after`, negative once it has passed; `fingerprint` is SHA-256 as `AA:BB:…`.
    """

    subject: str
    names: tuple[str, ...]
    issuer: str
    not_before: datetime
    not_after: datetime
    days_left: int
    key_type: str
    fingerprint: str
    self_signed: bool


def facts_of(certificate: x509.Certificate, now: datetime) -> CertificateFacts:
    """Read the facts of `certificate` as they stand at `now` (timezone-aware)."""
    digest = certificate.fingerprint(hashes.SHA256())
    return CertificateFacts(
        subject=subject_of(certificate),
        names=_names(certificate),
        issuer=certificate.issuer.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        days_left=(certificate.not_valid_after_utc - now).days,
        key_type=_key_type(certificate),
        fingerprint=digest.hex(":").upper(),
        self_signed=certificate.subject == certificate.issuer,
    )


def subject_of(certificate: x509.Certificate) -> str:
    """Write the subject on one line."""
    return certificate.subject.rfc4514_string()


def read_through(certificate: x509.Certificate) -> None:
    """Decode subject, issuer and dates, which every chain is judged by; raises one of ODD where they are invalid."""
    subject_of(certificate)
    certificate.issuer.rfc4514_string()
    is_in_season(certificate, certificate.not_valid_before_utc)


def is_in_season(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether `now` lies between the two dates of `certificate`."""
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return (
        *names.get_values_for_type(x509.DNSName),
        *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
    )


def _key_type(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "unknown"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {CURVES.get(key.curve.name, key.curve.name)}"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return type(key).__name__.removesuffix("PublicKey")


def self_signed(domain: str, now: datetime) -> tuple[bytes, bytes]:
    """Return (certificate, key) in PEM: EC P-256, 365 days, for `domain`, its subdomains, localhost and loopback."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain[:LONGEST_COMMON_NAME])])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    signing_only = {
        "content_commitment": False,
        "key_encipherment": False,
        "data_encipherment": False,
        "key_agreement": False,
        "key_cert_sign": False,
        "crl_sign": False,
        "encipher_only": False,
        "decipher_only": False,
    }
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now - CLOCK_SLACK + SELF_SIGNED_LIFETIME)
        .add_extension(x509.SubjectAlternativeName(_alternative_names(domain)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **signing_only), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), pkcs8(key)


def pkcs8(key: PrivateKeyTypes) -> bytes:
    """Return `key` as unencrypted PKCS #8 PEM, the one form every OpenSSL reads."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _alternative_names(domain: str) -> list[x509.GeneralName]:
    loopback: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    localhost = x509.DNSName("localhost")
    try:
        address = x509.IPAddress(ipaddress.ip_address(domain))
    except ValueError:
        ascii_domain = domain.encode("idna").decode("ascii").lower()
        wildcard = [x509.DNSName(f"*.{ascii_domain}")] if "." in ascii_domain else []
        names = [] if ascii_domain == "localhost" else [x509.DNSName(ascii_domain)]
        return [*names, *wildcard, localhost, *loopback]
    return [*([] if address in loopback else [address]), localhost, *loopback]


def ensure_pair(cert_path: Path, key_path: Path, domain: str, now: datetime, language: Language = "ru") -> bool:
    """Make a self-signed pair where both files are missing; return whether it was made.

    Raises CertificateBroken when exactly one is missing, or when the folder cannot be written to.
    """
    paths = PairPaths(cert_path, key_path, cert_path)
    if _pair_present(paths, language):
        return False
    try:
        cert_path.parent.mkdir(parents=True, exist_ok=True)
        key_path.parent.mkdir(parents=True, exist_ok=True)
        with _alone_in(key_path.parent):
            if _pair_present(paths, language):
                return False
            certificate, key = self_signed(domain, now)
            put(key_path, key)
            put(cert_path, certificate, mode=0o644)
    except OSError as error:
        raise broken("unwritable", key_path, paths, language, error.strerror or "") from error
    return True


def _pair_present(paths: PairPaths, language: Language) -> bool:
    there = {path: os.path.lexists(path) for path in (paths.cert, paths.key)}
    if len(set(there.values())) > 1:
        missing = next(path for path, present in there.items() if not present)
        raise broken("twin_missing", missing, paths, language)
    return all(there.values())


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Lock the folder: two servers that start at once must not mix one's key with the other's certificate."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
