"""What the server sends and signs with, as plain values, so that serving does not import cryptography (14 MiB)."""

import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import structlog

from app.tls.doubt_words import Doubt
from app.tls.pair_files import PairContent, PairPaths

if TYPE_CHECKING:
    from cryptography import x509

log = structlog.get_logger(__name__)


class Link(NamedTuple):
    """One certificate of the chain: its subject on one line, and its dates."""

    subject: str
    not_before: datetime
    not_after: datetime

    def is_in_season(self, now: datetime) -> bool:
        """Whether `now` lies between the two dates."""
        return self.not_before <= now <= self.not_after


@dataclass(frozen=True, slots=True)
class ServedPair:
    """What the server sends and signs with.

    `links` are leaf + intermediates, `chain_pem` the same, `key_pem` unencrypted PKCS #8. `unrelated` names the
    subjects in the files that are not part of the chain. `missing_issuer` names who signed the last certificate when
    the files do not hold it and the leaf stands alone: an intermediate is probably missing (or the leaf comes straight
    from a root).
    """

    links: tuple[Link, ...]
    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    unrelated: tuple[str, ...]
    missing_issuer: str | None
    is_self_signed: bool

    @property
    def ends(self) -> datetime:
        """When the first of the chain expires: often, but not always, the leaf."""
        return min(link.not_after for link in self.links)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the leaf, as `AA:BB:…`."""
        end = b"-----END CERTIFICATE-----\n"
        leaf = self.chain_pem[: self.chain_pem.index(end) + len(end)]
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf.decode())).digest().hex(":").upper()

    @property
    def chain(self) -> "tuple[x509.Certificate, ...]":
        """The certificates themselves; loads X.509 into the process."""
        from cryptography import x509  # noqa: PLC0415  14 MiB that serving does not need

        return tuple(x509.load_pem_x509_certificates(self.chain_pem))

    @property
    def leaf(self) -> "x509.Certificate":
        """The server's own certificate; loads X.509 into the process."""
        return self.chain[0]

    def report(self, paths: PairPaths) -> None:
        """Log which certificates are missing in the files or superfluous."""
        if self.unrelated:
            log.warning("certificate.unrelated", bundle=str(paths.ca_bundle), subjects=self.unrelated)
        if self.missing_issuer:
            log.warning("certificate.issuer_missing", bundle=str(paths.ca_bundle), issuer=self.missing_issuer)


@dataclass(frozen=True, slots=True)
class FirstLook:
    """What a server begins with: a pair, the content that it is made of, why clients may refuse it, if it is new."""

    pair: ServedPair
    content: PairContent
    doubts: Sequence[Doubt]
    was_made: bool
