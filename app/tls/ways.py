"""Which way leads from a leaf to a root: a pool may hold several issuers of one certificate."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

LONGEST = 8  # certificates of one way; verifiers follow no longer ones
WAYS = 64  # looked at; a file that holds more was made to keep us busy

Roots = Callable[[], Sequence[x509.Certificate]]


@dataclass(frozen=True, slots=True)
class Way:
    """A leaf, its issuers one above the other, and the root where the pool holds it."""

    chain: tuple[x509.Certificate, ...]
    root: x509.Certificate | None

    def is_in_date(self, now: datetime) -> bool:
        """Tell whether every certificate that is sent above the leaf is valid at `now`."""
        return all(one.not_valid_before_utc <= now <= one.not_valid_after_utc for one in self.chain[1:])

    def is_trusted(self, roots: Sequence[x509.Certificate]) -> bool:
        """Tell whether one of `roots` stands above the last certificate, or is in the chain."""
        top = self.chain[-1]
        return self.root in roots or any(
            root in self.chain or (root.subject == top.issuer and issued_by(top, root)) for root in roots
        )

    def rank(self) -> tuple[tuple[bool, datetime], ...]:
        """Say how good it is beside another of the same standing.

        At the first fork a cross-signed certificate in place of a root is better, for old clients know it, and then the
        one that is valid longer.
        """
        links = [*self.chain[1:], *([self.root] if self.root is not None else [])]
        return tuple((not is_root(link), link.not_valid_after_utc) for link in links)


def best_way(leaf: x509.Certificate, pool: Sequence[x509.Certificate], now: datetime | None, roots: Roots) -> Way:
    """Choose the way that verifies at `now` (None: dates decide nothing).

    One whose certificates are all in date goes before one whose are not; where several are, one that a root of this
    system stands above; where none is, one that such a root allows to end below what has expired. `roots` is called
    only in the last two cases, for reading them takes a second.
    """
    ways = list(islice(_ways((leaf,), pool), WAYS))
    if now is not None:
        ways = [way for way in ways if way.is_in_date(now)] or _shortened(ways, now, roots()) or ways
    if len({way.chain for way in ways}) > 1:
        trusted = roots()
        ways = [way for way in ways if way.is_trusted(trusted)] or ways
    return max(ways, key=Way.rank)


def _shortened(ways: Sequence[Way], now: datetime, trusted: Sequence[x509.Certificate]) -> list[Way]:
    """Cut each way below the first that is out of date, where a trusted root stands there: it needs no cross-sign."""
    cut = []
    for way in ways:
        fresh = [*takewhile(lambda one: one.not_valid_before_utc <= now <= one.not_valid_after_utc, way.chain[1:])]
        short = Way((way.chain[0], *fresh), None)
        if len(short.chain) < len(way.chain) and short.is_trusted(trusted):
            cut.append(short)
    return cut


def _ways(chain: tuple[x509.Certificate, ...], pool: Sequence[x509.Certificate]) -> Iterator[Way]:
    top = chain[-1]
    if is_root(top) or len(chain) >= LONGEST:
        yield Way(chain, None)
        return
    found = False
    for issuer in pool:
        if issuer in chain or not issued_by(top, issuer):
            continue
        found = True
        if is_root(issuer):
            yield Way(chain, issuer)
        else:
            yield from _ways((*chain, issuer), pool)
    if not found:
        yield Way(chain, None)


def is_root(certificate: x509.Certificate) -> bool:
    """Whether `certificate` is signed by its own key."""
    return certificate.subject == certificate.issuer and issued_by(certificate, certificate)


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` has the issuer's name and its key made the signature; dates and trust are not checked."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
