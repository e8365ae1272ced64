"""Keys and signatures: what clients, and OpenSSL itself, no longer accept."""

from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from app.doctor.finding import Finding
from app.doctor.tls.chain import subject_of
from app.doctor.tls.voice import say
from app.domain.language import Language
from app.tls.certificates import CURVES
from app.tls.chain import is_root

SHORTEST_RSA = 2048  # bits; Baseline Requirements, and OpenSSL's security level 2
BROKEN_DIGESTS = ("md5", "sha1")


def judge_keys(chain: Sequence[x509.Certificate], key_type: str, language: Language, renewal: str) -> list[Finding]:
    """Name weak keys and digests of the chain; the digest of a self-signature does not matter."""
    found = [finding for certificate in chain for finding in _judge(certificate, language, renewal)]
    return found or [say("keys.ok", language, key_type=key_type, digest=digest_of(chain[0]))]


def _judge(certificate: x509.Certificate, language: Language, renewal: str) -> Iterator[Finding]:
    subject = subject_of(certificate)
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        yield say("keys.unknown", language, command=renewal, subject=subject, kind="?")
        return
    match key:
        case rsa.RSAPublicKey() if key.key_size < SHORTEST_RSA:
            yield say("keys.rsa_short", language, command=renewal, subject=subject, bits=key.key_size)
        case ec.EllipticCurvePublicKey() if key.curve.name not in CURVES:
            yield say("keys.curve", language, command=renewal, subject=subject, curve=key.curve.name)
        case ed25519.Ed25519PublicKey():
            yield say("keys.ed25519", language, command=renewal, subject=subject)
        case rsa.RSAPublicKey() | ec.EllipticCurvePublicKey():
            pass
        case _:
            kind = type(key).__name__.removesuffix("PublicKey")
            yield say("keys.unknown", language, command=renewal, subject=subject, kind=kind)
    digest = digest_of(certificate)
    if digest in BROKEN_DIGESTS and not is_root(certificate):
        yield say("keys.digest", language, command=renewal, subject=subject, digest=digest.upper())


def digest_of(certificate: x509.Certificate) -> str:
    """Name the digest that was signed, such as `sha256`; the signature's own name where it has none (Ed25519)."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    return algorithm.name if algorithm is not None else certificate.signature_algorithm_oid.dotted_string
