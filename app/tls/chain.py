"""From the three files to what the server sends: leaf, then intermediates in order, no root."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from app.domain.language import Language
from app.tls.certificates import CERTIFICATE_BLOCK, ODD, pkcs8, read_through
from app.tls.pair_files import PairContent, PairPaths, broken, is_der
from app.tls.roots import system_roots
from app.tls.ways import Roots, Way, best_way, is_root, issued_by

log = structlog.get_logger(__name__)

CERTIFICATE_BEGIN = b"-----BEGIN CERTIFICATE-----"
KEY_BLOCK = re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----")


@dataclass(frozen=True, slots=True)
class ServedPair:
    """What the server sends and signs with.

    `chain_pem` is leaf + intermediates, `key_pem` unencrypted PKCS #8. `unrelated` names the subjects in the files that
    are not part of the chain. `missing_issuer` names who signed the last certificate when the files do not hold it and
    the leaf stands alone: an intermediate is probably missing (or the leaf comes straight from a root).
    """

    chain: tuple[x509.Certificate, ...]
    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    unrelated: tuple[str, ...]
    missing_issuer: str | None

    @property
    def leaf(self) -> x509.Certificate:
        """The server's own certificate."""
        return self.chain[0]

    @property
    def ends(self) -> datetime:
        """When the first of the chain expires: often, but not always, the leaf."""
        return min(certificate.not_valid_after_utc for certificate in self.chain)


def assemble(content: PairContent, paths: PairPaths, language: Language, now: datetime | None = None) -> ServedPair:
    """Build the chain and log which certificates are missing or superfluous; raises CertificateBroken."""
    pair = put_together(content, paths, language, now)
    if pair.unrelated:
        log.warning("certificate.unrelated", bundle=str(paths.ca_bundle), subjects=pair.unrelated)
    if pair.missing_issuer:
        log.warning("certificate.issuer_missing", bundle=str(paths.ca_bundle), issuer=pair.missing_issuer)
    return pair


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
    unrelated = tuple(c.subject.rfc4514_string() for c in pool if c not in chain and c != root and not is_root(c))
    alone = len(chain) == 1 and root is None and not is_root(leaf)
    return ServedPair(
        chain=chain,
        chain_pem=b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain),
        key_pem=pkcs8(key),
        unrelated=unrelated,
        missing_issuer=leaf.issuer.rfc4514_string() if alone else None,
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
