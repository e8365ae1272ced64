"""Why clients will refuse a pair that OpenSSL loads without an error: its dates, names, keys and signatures."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from app.domain.alert_rules import CRITICAL_LEFT
from app.tls.certificates import CURVES, facts_of, subject_of
from app.tls.doubt_words import Doubt
from app.tls.names import covers
from app.tls.served import ServedPair
from app.tls.ways import is_root

SHORTEST_RSA = 2048  # bits; Baseline Requirements, and OpenSSL's security level 2
BROKEN_DIGESTS = ("md5", "sha1")
SHOWN = 8  # names of a certificate


def doubts_about(pair: ServedPair, name: str, now: datetime) -> list[Doubt]:
    """Return every reason to refuse `pair` as it stands at `now` for `name`.

    Trust is not judged: reading every root takes a second, too long for a start.
    """
    return [
        *doubt_dates(pair.chain, now),
        *doubt_names(facts_of(pair.leaf, now).names, [name]),
        *doubt_keys(pair.chain),
    ]


def doubt_dates(chain: Sequence[x509.Certificate], now: datetime) -> Iterator[Doubt]:
    """Doubt a leaf outside its dates or near its end, and each expired intermediate; the leaf's doubt comes first."""
    leaf = chain[0]
    facts = lifetime(leaf, now)
    if now < leaf.not_valid_before_utc:
        yield Doubt("dates.not_yet_valid", facts)
    elif now > leaf.not_valid_after_utc:
        yield Doubt("dates.expired", facts)
    elif share_left(leaf, now) <= CRITICAL_LEFT:
        yield Doubt("dates.ends_now", facts)
    for issuer in chain[1:]:
        if now > issuer.not_valid_after_utc:
            yield Doubt(
                "dates.issuer_expired", {"subject": subject_of(issuer), "until": _day(issuer.not_valid_after_utc)}
            )


def share_left(certificate: x509.Certificate, now: datetime) -> float:
    """Return what part of its lifetime is left at `now`; 0 where it ends before it begins."""
    since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return (until - now) / (until - since) if until > since else 0.0


def lifetime(certificate: x509.Certificate, now: datetime) -> dict[str, Any]:
    """Return the facts `since`, `until` and `days` (whole days left) of a certificate."""
    since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return {"until": _day(until), "since": _day(since), "days": (until - now).days}


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def doubt_names(held: Sequence[str], wanted: Sequence[str]) -> Iterator[Doubt]:
    """Doubt each of `wanted` that none of `held` (DNS names, wildcards, addresses) covers."""
    if not held:
        yield Doubt("names.none", {"name": ", ".join(wanted)})
        return
    for name in wanted:
        if not any(covers(pattern, name) for pattern in held):
            yield Doubt("names.uncovered", {"names": listed(held), "name": name})


def listed(names: Sequence[str]) -> str:
    """Write the first names of a certificate on one line."""
    return ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")


def doubt_keys(chain: Sequence[x509.Certificate]) -> Iterator[Doubt]:
    """Doubt weak keys and digests of the chain; the digest of a self-signature does not matter."""
    for certificate in chain:
        subject = subject_of(certificate)
        try:
            key = certificate.public_key()
        except (ValueError, UnsupportedAlgorithm):
            yield Doubt("keys.unknown", {"subject": subject, "kind": "?"})
            continue
        match key:
            case rsa.RSAPublicKey() if key.key_size < SHORTEST_RSA:
                yield Doubt("keys.rsa_short", {"subject": subject, "bits": key.key_size})
            case ec.EllipticCurvePublicKey() if key.curve.name not in CURVES:
                yield Doubt("keys.curve", {"subject": subject, "curve": key.curve.name})
            case rsa.RSAPublicKey() | ec.EllipticCurvePublicKey() | ed25519.Ed25519PublicKey():
                pass
            case _:
                kind = type(key).__name__.removesuffix("PublicKey")
                yield Doubt("keys.unknown", {"subject": subject, "kind": kind})
        digest = digest_of(certificate)
        if digest in BROKEN_DIGESTS and not is_root(certificate):
            yield Doubt("keys.digest", {"subject": subject, "digest": digest.upper()})


def digest_of(certificate: x509.Certificate) -> str:
    """Name the digest that was signed, such as `sha256`; the signature's own name where it has none (Ed25519)."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    return algorithm.name if algorithm is not None else certificate.signature_algorithm_oid.dotted_string
