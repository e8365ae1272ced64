"""Missing issuers, fetched from where the certificate itself says they lie (RFC 5280, 4.2.2.1: caIssuers)."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import AuthorityInformationAccessOID

from app.domain.errors import AishaError
from app.tls.certificates import ODD, is_in_season, read_through
from app.tls.chain import anchor_of
from app.tls.ways import is_root, issued_by

MOST_HOPS = 4  # public chains have two intermediates, cross-signed ones three
MOST_ADDRESSES = 4  # of one certificate
LARGEST_ANSWER = 64 * 1024  # bytes; a PKCS #7 of a whole chain is a tenth of it
READING_FAILED = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)
FIELDS_UNREADABLE = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)

Get = Callable[[str], bytes]
Issuers = list[x509.Certificate]  # nearest first


class NotFetched(AishaError):
    """An address gave no certificate. `why` is one word and holds nothing of the answer."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def fetch_issuers(leaf: x509.Certificate, get: Get, roots: Sequence[x509.Certificate], now: datetime) -> Issuers:
    """Fetch the issuers of `leaf`, which may be any certificate below a root; return them, nearest first.

    Ends at the first certificate that one of `roots` signed: above it some authorities publish only superfluous
    cross-signatures. A root that is not among `roots` is included if it is reached. Ends, without an error, where no
    address answers with a certificate that signed the one below and is valid at `now`; a matching name alone is not
    enough. At most four issuers.

    The addresses come from a certificate, so from whoever made it: `get` must bound size, time and redirects. What
    it fetches is never shown, and never used unless it signs; so the most a forged certificate gains is one blind GET
    per address, sent only when the operator asks for a repair. `get` raises nothing but NotFetched.
    """
    issuers: Issuers = []
    below = leaf
    while len(issuers) < MOST_HOPS and not is_root(below) and anchor_of([below], roots) is None:
        found = (candidate for url in issuer_urls(below) for candidate in _fetched(url, get))
        issuer = next((candidate for candidate in found if _signed(candidate, below, now)), None)
        if issuer is None or issuer in issuers:
            break
        issuers.append(issuer)
        below = issuer
    return issuers


def issuer_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the http and https addresses at which the issuer of `certificate` is said to lie."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, *FIELDS_UNREADABLE):
        return ()
    places = [
        description.access_location.value
        for description in access
        if description.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        and isinstance(description.access_location, x509.UniformResourceIdentifier)
    ]
    return tuple(place for place in places if place.lower().startswith(("http://", "https://")))[:MOST_ADDRESSES]


def _fetched(url: str, get: Get) -> Iterator[x509.Certificate]:
    try:
        body = get(url)
    except NotFetched:
        return  # another address may still have it
    if len(body) <= LARGEST_ANSWER:
        yield from _read(body)


def _signed(candidate: x509.Certificate, below: x509.Certificate, now: datetime) -> bool:
    """Whether `candidate` made the signature on `below` and may be shown to clients at `now`."""
    try:
        read_through(candidate)
    except ODD:
        return False
    return issued_by(below, candidate) and is_in_season(candidate, now)


def _read(body: bytes) -> list[x509.Certificate]:
    """Read DER as the RFC asks, and PEM or PKCS #7 as some authorities answer; [] for anything else."""
    readers: tuple[Callable[[bytes], list[x509.Certificate]], ...] = (
        lambda data: [x509.load_der_x509_certificate(data)],
        x509.load_pem_x509_certificates,
        pkcs7.load_der_pkcs7_certificates,
        pkcs7.load_pem_pkcs7_certificates,
    )
    for reader in readers:
        try:
            return reader(body)
        except READING_FAILED:
            continue
    return []
