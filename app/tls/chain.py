"""From the three files to what the server sends: leaf, then intermediates in order, no root."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from app.domain.language import Language
from app.tls.certificates import CERTIFICATE_BLOCK, ODD, pkcs8, read_through, subject_of
from app.tls.pair_files import PairContent, PairPaths, broken, is_der
from app.tls.roots import system_roots
from app.tls.served import Link, ServedPair
from app.tls.ways import Roots, Way, best_way, is_root, issued_by

CERTIFICATE_BEGIN = b"-----BEGIN CERTIFICATE-----"
KEY_BLOCK = re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----")


def put_together(
    content: PairContent,
    paths: PairPaths,
    language: Language,
    now: datetime | None = None,
    roots: Roots = system_roots,
) -> ServedPair:
    """Find the leaf that belongs to the key and its issuers up to the root; leave out all other certificates.

    Where several ways lead up, the one that verifies at `now` is taken.

    Raises CertificateBroken, also for a field that proves invalid only now.
    """
    try:
        return _put_together(content, paths, language, partial(best_way, now=now, roots=roots))
    except ODD as error:
        raise broken("odd", paths.cert, paths, language, type(error).__name__) from error


def _put_together(content: PairContent, paths: PairPaths, language: Language, choose: Callable[..., Way]) -> ServedPair:
    own = certificates_in(content.cert, paths.cert, paths, language)
    key = key_in(content.key, paths.key, paths, language)
    others = certificates_in(content.ca_bundle, paths.ca_bundle, paths, language) if content.ca_bundle else []
    leaf = next((certificate for certificate in own if _belongs(key, certificate)), None)
    if leaf is None:
        raise broken("mismatch", paths.key, paths, language)
    pool = [certificate for certificate in dict.fromkeys([*own, *others]) if certificate != leaf]
    _ = leaf.extensions  # decoded now, so that reading the names later cannot fail
    way = choose(leaf, pool)
    chain, root = way.chain, way.root
    unrelated = tuple(subject_of(c) for c in pool if c not in chain and c != root and not is_root(c))
    alone = len(chain) == 1 and root is None and not is_root(leaf)
    return ServedPair(
        links=tuple(Link(subject_of(c), c.not_valid_before_utc, c.not_valid_after_utc) for c in chain),
        chain_pem=b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain),
        key_pem=pkcs8(key),
        unrelated=unrelated,
        missing_issuer=leaf.issuer.rfc4514_string() if alone else None,
        is_self_signed=leaf.subject == leaf.issuer,
    )


def anchor_of(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]) -> x509.Certificate | None:
    """Find the root that signed one of the chain (or is one of it); None where the climb ends before a root."""
    for certificate in reversed(chain):
        for root in roots:
            if certificate == root or (certificate.issuer == root.subject and issued_by(certificate, root)):
                return root
    return None


def _belongs(key: PrivateKeyTypes, certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.public_key() == key.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return False


def certificates_in(data: bytes, path: Path, paths: PairPaths, language: Language) -> list[x509.Certificate]:
    """Return the certificates of a PEM file in the file's order, at least one; raises CertificateBroken."""
    if is_der(data):
        raise broken("der_certificate", path, paths, language)
    blocks = CERTIFICATE_BLOCK.findall(data)
    if data.count(CERTIFICATE_BEGIN) != len(blocks):
        raise broken("cut_short", path, paths, language)
    if not blocks:
        cause = "key_not_certificate" if KEY_BLOCK.search(data) else "no_certificate"
        raise broken(cause, path, paths, language)
    found = []
    for number, block in enumerate(blocks, start=1):
        try:
            certificate = x509.load_pem_x509_certificate(block)
        except (ValueError, x509.InvalidVersion) as error:
            raise broken("damaged", path, paths, language, f"№ {number}") from error
        try:
            read_through(certificate)
        except ODD as error:
            raise broken("odd", path, paths, language, f"№ {number}, {type(error).__name__}") from error
        found.append(certificate)
    return found


def key_in(data: bytes, path: Path, paths: PairPaths, language: Language) -> PrivateKeyTypes:
    """Return the private key of a PEM file; raises CertificateBroken."""
    if is_der(data):
        raise broken("der_key", path, paths, language)
    block = KEY_BLOCK.search(data)
    if block is None:
        cause = "certificate_not_key" if CERTIFICATE_BLOCK.search(data) else "no_key"
        raise broken(cause, path, paths, language)
    try:
        # Blocks before the key (EC PARAMETERS, bag attributes) are ignored.
        return serialization.load_pem_private_key(data[block.start() :], password=None)
    except TypeError as error:
        raise broken("encrypted", path, paths, language) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise broken("damaged", path, paths, language) from error
