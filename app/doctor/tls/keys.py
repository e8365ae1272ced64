"""Keys and signatures: what clients, and OpenSSL itself, no longer accept."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519

from app.doctor.finding import Finding
from app.doctor.tls.voice import say, say_doubt
from app.domain.language import Language
from app.tls.certificates import subject_of
from app.tls.doubts import digest_of, doubt_keys


def judge_keys(chain: Sequence[x509.Certificate], key_type: str, language: Language, renewal: str) -> list[Finding]:
    """Name weak keys and digests of the chain; the digest of a self-signature does not matter."""
    found = [
        *(say_doubt(doubt, language, command=renewal) for doubt in doubt_keys(chain)),
        *(
            say("keys.ed25519", language, command=renewal, subject=subject_of(certificate))
            for certificate in chain
            if _is_ed25519(certificate)
        ),
    ]
    return found or [say("keys.ok", language, key_type=key_type, digest=digest_of(chain[0]))]


def _is_ed25519(certificate: x509.Certificate) -> bool:
    try:
        return isinstance(certificate.public_key(), ed25519.Ed25519PublicKey)
    except (ValueError, UnsupportedAlgorithm):  # a doubt already
        return False
