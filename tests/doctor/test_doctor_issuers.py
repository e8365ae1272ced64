"""Issuers are fetched from where certificates say they lie, and adopted only when they signed."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from app.doctor.tls.aia import LARGEST_ANSWER, MOST_HOPS, NotFetched, fetch_issuers, issuer_urls
from app.doctor.tls.download import download
from tests.authorities import DOMAIN, NOW, Issued, issue

AT = "http://ca.example/{}"


class Library:
    """Answers from a dictionary, and remembers what it was asked."""

    def __init__(self, **answers: bytes) -> None:
        self.answers = {AT.format(name): answer for name, answer in answers.items()}
        self.asked: list[str] = []

    def get(self, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.answers:
            raise NotFetched("status_404")
        return self.answers[url]


ROOT = issue("Root")
UPPER = issue("Upper", ROOT, address=AT.format("root"))
LOWER = issue("Lower", UPPER, address=AT.format("upper"))
LEAF = issue(DOMAIN, LOWER, names=[DOMAIN], address=AT.format("lower"))
STRANGER = issue("Lower")


def issuers_of(leaf: Issued, library: Library, *roots: Issued) -> list[x509.Certificate]:
    return fetch_issuers(leaf.certificate, library.get, [root.certificate for root in roots], NOW)


def test_the_climb_goes_up_to_the_root() -> None:
    """Each issuer is fetched from the address in the one below it, up to the root, and no address is asked twice."""
    library = Library(lower=LOWER.der, upper=UPPER.der, root=ROOT.der)
    assert issuers_of(LEAF, library) == [LOWER.certificate, UPPER.certificate, ROOT.certificate]
    assert library.asked == [AT.format(name) for name in ("lower", "upper", "root")]


@pytest.mark.parametrize(
    "form",
    [
        lambda one: one.public_bytes(Encoding.DER),
        lambda one: one.public_bytes(Encoding.PEM),
        lambda one: pkcs7.serialize_certificates([STRANGER.certificate, one], Encoding.DER),
        lambda one: pkcs7.serialize_certificates([one], Encoding.PEM),
    ],
    ids=["DER", "PEM", "PKCS7", "PKCS7 PEM"],
)
def test_every_form_that_authorities_use_is_read(form: Callable[[x509.Certificate], bytes]) -> None:
    """DER, PEM and PKCS #7 are read; of several certificates the one that signed is taken."""
    assert issuers_of(LEAF, Library(lower=form(LOWER.certificate))) == [LOWER.certificate]


@pytest.mark.parametrize(
    "answer",
    [STRANGER.der, ROOT.der, b"", b"<html>", LEAF.der, LOWER.der + b" " * LARGEST_ANSWER],
    ids=["namesake", "another authority", "nothing", "a page", "itself", "too large"],
)
def test_what_did_not_sign_is_not_adopted(answer: bytes) -> None:
    """A certificate of the right name and another key, or no certificate at all, ends the climb with nothing."""
    assert issuers_of(LEAF, Library(lower=answer)) == []


def test_an_address_that_does_not_answer_ends_the_climb() -> None:
    """What was found below a silent address is kept."""
    assert issuers_of(LEAF, Library(lower=LOWER.der)) == [LOWER.certificate]


def test_the_climb_ends_below_a_root_of_the_system() -> None:
    """Who is signed by a root that is trusted needs nobody above: no cross-signature is fetched (fault 39)."""
    library = Library(lower=LOWER.der, upper=UPPER.der, root=ROOT.der)
    assert issuers_of(LEAF, library, UPPER) == [LOWER.certificate]
    assert library.asked == [AT.format("lower")]


@pytest.mark.parametrize(
    ("since", "until"),
    [
        pytest.param(NOW - timedelta(days=9), NOW - timedelta(seconds=1), id="expired"),
        pytest.param(NOW + timedelta(seconds=1), NOW + timedelta(days=9), id="not yet valid"),
    ],
)
def test_an_issuer_out_of_date_is_passed_over(since: datetime, until: datetime) -> None:
    """Of two that signed, the one that clients would refuse for its dates is not taken (fault 39)."""
    stale = issue("Lower", UPPER, key=LOWER.key, since=since, until=until)
    both = pkcs7.serialize_certificates([stale.certificate, LOWER.certificate], Encoding.DER)
    assert issuers_of(LEAF, Library(lower=stale.der)) == []
    assert issuers_of(LEAF, Library(lower=both)) == [LOWER.certificate]


def test_an_issuer_whose_fields_make_no_sense_is_passed_over() -> None:
    """An answer that decodes and cannot be read any further ends the climb, not the repair (fault 40)."""
    upper = UPPER.certificate.subject.rfc4514_string().removeprefix("CN=").encode()
    named = b"\x0c" + bytes([len(upper)])
    odd = LOWER.der.replace(named + upper, named + b"\xff" * len(upper))
    assert odd != LOWER.der
    assert issuers_of(LEAF, Library(lower=odd)) == []


def test_the_climb_is_bounded() -> None:
    """A chain longer than any public one is given up after four hops."""
    above: list[Issued] = [ROOT]
    for number in itertools.count():
        above.append(issue(f"Level {number}", above[-1], address=AT.format(number)))
        if number > MOST_HOPS:
            break
    library = Library(**{str(number): issuer.der for number, issuer in enumerate(above)})
    assert len(issuers_of(above[-1], library)) == MOST_HOPS
    assert len(library.asked) == MOST_HOPS


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ldap://ca.example/x", "ftp://ca.example/x", "gopher://x"])
def test_only_http_addresses_count(address: str) -> None:
    """An address of any other scheme is not even asked."""
    leaf = issue(DOMAIN, LOWER, names=[DOMAIN], address=address)
    assert issuer_urls(leaf.certificate) == ()


Answer = Callable[[BaseHTTPRequestHandler], object]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """A web server on loopback for one kind of answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def _body(content: bytes) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    return answer


def _redirect(times: int, elsewhere: str = "") -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        step = int(request.path.strip("/") or 0)
        if step == times and not elsewhere:
            _body(b"there")(request)
            return
        request.send_response(302)
        request.send_header("Location", elsewhere or f"/{step + 1}")
        request.end_headers()

    return answer


def test_a_download_follows_two_redirects() -> None:
    """An authority that has moved its file is followed."""
    with serving(_redirect(2)) as url:
        assert download(url) == b"there"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (_redirect(3), "status_302"),
        (_redirect(9, "file:///etc/passwd"), "status_302"),
        (_redirect(9, "ftp://127.0.0.1/x"), "status_302"),
        (_body(b"x" * (LARGEST_ANSWER + 1)), "too_large"),
        (lambda request: request.send_error(500), "status_500"),
        (lambda request: request.wfile.write(b"not HTTP at all\r\n\r\n"), "unreachable"),
    ],
    ids=["three redirects", "redirect to a file", "redirect to FTP", "too large", "status 500", "no HTTP"],
)
def test_a_download_is_bounded(answer: Answer, why: str) -> None:
    """Too many redirects, another scheme, too much, an error or nonsense: refused by one word, free of the answer."""
    with serving(answer) as url, pytest.raises(NotFetched) as caught:
        download(url)
    assert str(caught.value) == why


def test_a_download_has_a_deadline() -> None:
    """A server that accepts and never answers is given up at the deadline, whatever its socket does."""
    hold = Event()
    with serving(lambda _: hold.wait(20)) as url:
        with pytest.raises(NotFetched, match="timeout"):
            download(url, deadline_seconds=0.2)
        hold.set()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "", "http://[", "javascript:1"])
def test_a_download_is_of_http_only(url: str) -> None:
    """An address that is not HTTP is not opened."""
    with pytest.raises(NotFetched, match="scheme"):
        download(url)


def test_a_download_from_a_closed_port_says_so() -> None:
    """Nobody there: one word."""
    with pytest.raises(NotFetched, match="unreachable"):
        download("http://127.0.0.1:1/x")
