import os
import shlex
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from structlog.testing import capture_logs

from app.domain.errors import CertificateBroken
from app.domain.language import Language
from app.tls.chain import put_together
from app.tls.pair_files import PairPaths, read_content
from app.tls.served import ServedPair
from app.tls.ways import LONGEST, best_way
from tests.authorities import DOMAIN, NOW, Issued, issue

MARK = b"\xef\xbb\xbf"


class Family:
    """A root, two intermediates below one another, and a leaf, written as three files."""

    def __init__(self, folder: Path) -> None:
        self.root = trustme.CA()
        first = self.root.create_child_ca()
        self.last = first.create_child_ca()
        self.leaf = self.last.issue_cert("aibots.kz")
        self.top, self.middle = first.cert_pem.bytes(), self.last.cert_pem.bytes()
        self.own = self.leaf.cert_chain_pems[0].bytes()
        self.secret = self.leaf.private_key_pem.bytes()
        self.cert, self.key, self.bundle = folder / "a b.crt", folder / "a.key", folder / "a.ca-bundle"
        self.cert.write_bytes(self.own)
        self.key.write_bytes(self.secret)
        self.bundle.write_bytes(self.middle + self.top)

    def assembled(self, language: Language = "ru") -> ServedPair:
        paths = PairPaths(self.cert, self.key, self.bundle)
        pair = put_together(read_content(paths, language), paths, language)
        pair.report(paths)
        return pair

    def served(self) -> list[bytes]:
        pair = self.assembled("en")
        pems = [certificate.public_bytes(Encoding.PEM) for certificate in pair.chain]
        assert pair.chain_pem == b"".join(pems)
        assert pair.leaf == pair.chain[0]
        return pems


@pytest.fixture(name="family")
def _family(tmp_path: Path) -> Family:
    return Family(tmp_path)


def test_the_chain_is_leaf_and_intermediates(family: Family) -> None:
    """The server sends the leaf and every intermediate (fault 39)."""
    assert family.served() == [family.own, family.middle, family.top]


def test_a_bundle_in_the_wrong_order_is_put_right(family: Family) -> None:
    """A bundle in any order, with its root and with duplicates, gives the same chain without root (fault 39)."""
    root = family.root.cert_pem.bytes()
    family.bundle.write_bytes(root + family.top + family.middle + family.top + root)
    assert family.served() == [family.own, family.middle, family.top]


def test_a_full_chain_in_the_leaf_file_needs_no_bundle(family: Family) -> None:
    """certbot's fullchain.pem works as the certificate file, in any order, and no bundle is missed."""
    family.bundle.unlink()
    family.cert.write_bytes(family.top + family.own + family.middle)
    assert family.served() == [family.own, family.middle, family.top]


def test_unrelated_certificates_are_left_out_with_a_warning(family: Family) -> None:
    """A certificate that leads nowhere is not sent, and the log names it."""
    stranger = trustme.CA().create_child_ca()
    family.bundle.write_bytes(stranger.cert_pem.bytes() + family.middle + family.top)
    with capture_logs() as lines:
        assert family.served() == [family.own, family.middle, family.top]
    (line,) = lines
    assert line["event"] == "certificate.unrelated"
    assert len(line["subjects"]) == 1


def test_a_missing_intermediate_is_named(family: Family) -> None:
    """Without its intermediate the leaf is served alone, and the log names the issuer that is missing (fault 39)."""
    family.bundle.unlink()
    with capture_logs() as lines:
        pair = family.assembled()
    assert len(pair.chain) == 1
    assert pair.missing_issuer == pair.leaf.issuer.rfc4514_string()
    assert [line["event"] for line in lines] == ["certificate.issuer_missing"]


def test_a_leaf_straight_from_its_root_misses_nothing(family: Family) -> None:
    """A leaf whose root stands in the bundle is complete on its own."""
    leaf = family.root.issue_cert("aibots.kz")
    family.cert.write_bytes(leaf.cert_chain_pems[0].bytes())
    family.key.write_bytes(leaf.private_key_pem.bytes())
    family.bundle.write_bytes(family.root.cert_pem.bytes())
    pair = family.assembled()
    assert (len(pair.chain), pair.missing_issuer, pair.unrelated) == (1, None, ())


@pytest.mark.parametrize(
    "dress",
    [lambda b: MARK + b, lambda b: b.replace(b"\n", b"\r\n"), lambda b: b"text\n" + b],
    ids=["mark", "CRLF", "preamble"],
)
def test_windows_files_are_read(family: Family, dress: Callable[[bytes], bytes]) -> None:
    """A byte order mark, CRLF and text before the block are tolerated in all three files (fault 40)."""
    for path in (family.cert, family.key, family.bundle):
        path.write_bytes(dress(path.read_bytes()))
    assert family.served() == [family.own, family.middle, family.top]


def test_an_old_style_key_with_its_parameters_is_read(family: Family) -> None:
    """`openssl ecparam -genkey` puts EC PARAMETERS before the key: it is read past them (fault 40)."""
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    family.key.write_bytes(parameters + family.secret)
    assert len(family.served()) == 3


Wreck = Callable[[Family], Path]


def _der_certificate(family: Family) -> Path:
    family.cert.write_bytes(x509.load_pem_x509_certificate(family.own).public_bytes(Encoding.DER))
    return family.cert


def _der_key(family: Family) -> Path:
    key = load_pem_private_key(family.secret, None)
    family.key.write_bytes(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))
    return family.key


def _encrypted(family: Family) -> Path:
    key = load_pem_private_key(family.secret, None)
    family.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))
    return family.key


def _encrypted_old(family: Family) -> Path:
    key = load_pem_private_key(family.secret, None)
    form = PrivateFormat.TraditionalOpenSSL
    family.key.write_bytes(key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"x")))
    return family.key


def _mismatch(family: Family) -> Path:
    family.key.write_bytes(family.last.issue_cert("aibots.kz").private_key_pem.bytes())
    return family.key


def _missing(name: str) -> Wreck:
    def wreck(family: Family) -> Path:
        path: Path = getattr(family, name)
        path.unlink()
        return path

    return wreck


def _holding(name: str, content: bytes | str) -> Wreck:
    def wreck(family: Family) -> Path:
        path: Path = getattr(family, name)
        path.write_bytes(getattr(family, content) if isinstance(content, str) else content)
        return path

    return wreck


def _cut(name: str) -> Wreck:
    def wreck(family: Family) -> Path:
        path: Path = getattr(family, name)
        path.write_bytes(path.read_bytes()[:-40])
        return path

    return wreck


def _folder(name: str) -> Wreck:
    def wreck(family: Family) -> Path:
        path: Path = getattr(family, name)
        path.unlink()
        path.mkdir()
        return path

    return wreck


BROKEN_BLOCK = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
BROKEN_KEY = b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"
WRECKS = {
    "certificate missing": (_missing("cert"), "there is no such file", "aisha-webhook cert self-signed"),
    "key missing": (_missing("key"), "there is no such file", "aisha-webhook cert self-signed"),
    "certificate empty": (_holding("cert", b" \n"), "is empty", "mv"),
    "key empty": (_holding("key", b""), "is empty", "mv"),
    "bundle empty": (_holding("bundle", b""), "is empty", "mv "),
    "certificate DER": (_der_certificate, "DER", "openssl x509 -inform DER"),
    "key DER": (_der_key, "DER", "openssl pkey -inform DER"),
    "key encrypted": (_encrypted, "encrypted", "openssl pkey -in"),
    "key encrypted the old way": (_encrypted_old, "encrypted", "openssl pkey -in"),
    "key of another": (_mismatch, "not that of the certificate", "aisha-webhook cert self-signed"),
    "key for certificate": (_holding("cert", "secret"), "private key instead", "mv"),
    "certificate for key": (_holding("key", "own"), "certificate instead", "mv"),
    "no certificate": (_holding("cert", b"hello"), "no certificate", "mv"),
    "no key": (_holding("key", b"hello"), "no private key", "mv"),
    "certificate cut": (_cut("cert"), "ends in the middle", "mv"),
    "bundle cut": (_cut("bundle"), "ends in the middle", "mv "),
    "certificate damaged": (_holding("cert", BROKEN_BLOCK), "damaged", "mv"),
    "key damaged": (_holding("key", BROKEN_KEY), "damaged", "mv"),
    "certificate absurd": (_holding("cert", b"x" * (1 << 20) + b"y"), "larger than", "mv"),
    "certificate a folder": (_folder("cert"), "cannot be read", "chown"),
    "bundle a folder": (_folder("bundle"), "cannot be read", "chown"),
}


@pytest.mark.parametrize("name", WRECKS)
def test_a_broken_file_is_named_with_cause_and_command(family: Family, name: str) -> None:
    """Each broken file is refused, naming that file, the cause and the command that mends it (fault 40)."""
    wreck, cause, command = WRECKS[name]
    path = wreck(family)
    with pytest.raises(CertificateBroken) as caught:
        family.assembled("en")
    (finding,) = caught.value.findings
    assert finding.startswith(f"{path}: ")
    assert cause in finding
    assert command in finding.partition("To mend it: ")[2]
    with pytest.raises(CertificateBroken, match=r"Исправить: "):
        family.assembled()


@pytest.mark.parametrize("name", ["cert", "key"])
def test_a_link_that_leads_nowhere_is_named(family: Family, name: str) -> None:
    """A dangling link is called one, and is moved away before a new pair is made (fault 40)."""
    path: Path = getattr(family, name)
    path.unlink()
    path.symlink_to("gone.pem")
    with pytest.raises(CertificateBroken) as caught:
        family.assembled("en")
    (finding,) = caught.value.findings
    assert finding.startswith(f"{path}: the link leads to where nothing is: gone.pem")
    assert f"mv {shlex.quote(str(path))} " in finding


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_key_is_named(family: Family) -> None:
    """A key that the server's user may not read is refused with the command that opens it (fault 40)."""
    family.key.chmod(0)
    with pytest.raises(CertificateBroken, match=r"a\.key: cannot be read .* chmod"):
        family.assembled("en")


def test_commands_quote_their_paths(family: Family) -> None:
    """A path with a space stands quoted in the command."""
    family.cert.write_bytes(x509.load_pem_x509_certificate(family.own).public_bytes(Encoding.DER))
    with pytest.raises(CertificateBroken, match=r"-in '[^']*a b\.crt'"):
        family.assembled("en")


def test_the_key_shows_in_no_representation(family: Family) -> None:
    """What is logged by mistake does not hold the key (fault 45)."""
    assert "PRIVATE KEY" not in repr(family.assembled())


def served_above(leaf: Issued, now: datetime, roots: Sequence[Issued], *above: Issued) -> list[Issued]:
    """Choose among `above` what is sent behind the leaf, where the system trusts `roots`."""
    for order in (above, above[::-1]):
        way = best_way(
            leaf.certificate, [one.certificate for one in order], now, lambda: [r.certificate for r in roots]
        )
        sent = [one for one in above if one.certificate in way.chain]
    return sent


def test_an_expired_cross_sign_of_a_root_is_not_sent() -> None:
    """A valid intermediate below the root that lies beside it is enough; clients refuse what is expired (fault 39)."""
    root, older = issue("Root"), issue("Older Root")
    cross = issue("Root", older, key=root.key, until=NOW - timedelta(days=2), since=NOW - timedelta(days=900))
    middle = issue("Middle", root)
    leaf = issue(DOMAIN, middle, names=[DOMAIN])
    assert served_above(leaf, NOW, [root], root, middle, cross) == [middle]
    assert served_above(leaf, NOW - timedelta(days=3), [older], root, middle, cross) == [middle, cross]


def test_a_cross_sign_in_date_is_sent() -> None:
    """Clients that know the older root alone need it."""
    root, older = issue("Root"), issue("Older Root")
    cross, middle = issue("Root", older, key=root.key), issue("Middle", root)
    leaf = issue(DOMAIN, middle, names=[DOMAIN])
    assert served_above(leaf, NOW, [older], root, middle, cross) == [middle, cross]


def test_a_trusted_intermediate_goes_before_its_longer_lived_twin() -> None:
    """Of two with one name and key the one counts that leads to a root of this system, however long the other lives."""
    root, unknown = issue("Root"), issue("Unknown")
    middle = issue("Middle", root, until=NOW + timedelta(days=400))
    twin = issue("Middle", unknown, key=middle.key, until=NOW + timedelta(days=4000))
    leaf = issue(DOMAIN, middle, names=[DOMAIN])
    assert served_above(leaf, NOW, [root], middle, twin) == [middle]
    assert served_above(leaf, NOW, [], middle, twin) == [twin]


def test_certificates_that_sign_each_other_end_the_search() -> None:
    """A file of many names that lead to one another is given up, not followed for ever."""
    keys = [issue(f"C{number}") for number in range(6)]
    tangle = [issue(f"C{a}", keys[b], key=keys[a].key) for a in range(6) for b in range(6) if a != b]
    leaf = issue(DOMAIN, keys[0], names=[DOMAIN])
    way = best_way(leaf.certificate, [one.certificate for one in tangle], NOW, list)
    assert 1 < len(way.chain) <= LONGEST
