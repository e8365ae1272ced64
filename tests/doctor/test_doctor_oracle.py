"""The doctor's verdict is a verifier's: what OpenSSL itself says of what would be served is the oracle (fault 39)."""

import ipaddress
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.doctor.finding import Level
from app.doctor.tls.examination import examine_files
from app.tls.names import address_of, ascii_name
from app.tls.pair_files import PairPaths
from tests.authorities import DOMAIN, NOW, SIGNS, Issued, issue

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")

DAY = timedelta(days=1)


class Files:
    """What lies in the three files, which name is asked for, and which roots there are."""

    def __init__(self, leaf: Issued, *bundle: Issued, roots: list[Issued], name: str = DOMAIN) -> None:
        self.leaf, self.bundle, self.roots, self.name = leaf, bundle, roots, name
        self.own: tuple[Issued, ...] = (leaf,)


def leaf_of(by: Issued, *, subject: str = DOMAIN, names: tuple[str, ...] = (DOMAIN,), **knobs: Any) -> Issued:
    return issue(subject, by, names=names, **knobs)


def custom(
    by: Issued, alternatives: list[x509.GeneralName], *, life: timedelta = 90 * DAY, blank: bool = True
) -> Issued:
    """Issue what `issue` does not: addresses as names, an empty subject."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([] if blank else [x509.NameAttribute(NameOID.COMMON_NAME, DOMAIN)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW - DAY + life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=False, crl_sign=False, **SIGNS), critical=True
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=blank)
        .sign(by.key, hashes.SHA256())
    )
    return Issued(certificate, key)


def plain(**leaf: Any) -> Files:
    root = issue("Root")
    middle = issue("Middle", root)
    return Files(leaf_of(middle, **leaf), middle, roots=[root])


def named(name: str, **leaf: Any) -> Files:
    files = plain(**leaf)
    files.name = name
    return files


def held(arrange: Callable[[Files], None]) -> Callable[[], Files]:
    def build() -> Files:
        files = plain()
        arrange(files)
        return files

    return build


def crossed(*, root_trusted: bool, cross_life: timedelta, root_beside: bool = False) -> Files:
    root, older = issue("Root"), issue("Older Root")
    cross = issue("Root", older, key=root.key, since=NOW - 900 * DAY, until=NOW + cross_life)
    middle = issue("Middle", root)
    beside = (root,) if root_beside else ()
    return Files(leaf_of(middle), middle, cross, *beside, roots=[root] if root_trusted else [older])


def twins(*, expired: bool) -> Files:
    root, unknown = issue("Root"), issue("Unknown")
    until = NOW - DAY if expired else NOW + 400 * DAY
    middle = issue("Middle", root, since=NOW - 500 * DAY, until=until)
    twin = issue("Middle", unknown, key=middle.key, until=NOW + 4000 * DAY)
    return Files(leaf_of(middle), twin, middle, roots=[root])


def by_key(key: Any, **leaf: Any) -> Callable[[], Files]:
    return lambda: plain(key=key(), **leaf)


def old_middle() -> Files:
    root = issue("Root")
    middle = issue("Middle", root, since=NOW - 9 * DAY, until=NOW - DAY)
    return Files(leaf_of(middle), middle, roots=[root])


def other_generation() -> Files:
    root = issue("Root")
    return Files(leaf_of(issue("Middle", root)), issue("Middle", root), roots=[root])


def no_authority() -> Files:
    root = issue("Root")
    middle = issue("Middle", root, names=["not an authority"])
    return Files(leaf_of(middle), middle, roots=[root])


def by_address(wanted: str) -> Files:
    root = issue("Root")
    middle = issue("Middle", root)
    leaf = custom(middle, [x509.IPAddress(ipaddress.ip_address("203.0.113.7"))], life=6 * DAY)
    return Files(leaf, middle, roots=[root], name=wanted)


def empty_subject() -> Files:
    root = issue("Root")
    middle = issue("Middle", root)
    return Files(custom(middle, [x509.DNSName(DOMAIN)]), middle, roots=[root])


def straight() -> Files:
    root = issue("Root")
    return Files(leaf_of(root), roots=[root])


def deep() -> Files:
    root = issue("Root")
    chain = [root]
    for number in range(4):
        chain.append(issue(f"Middle {number}", chain[-1]))
    return Files(leaf_of(chain[-1]), *chain[1:], roots=[root])


def self_signed(*, trusted: bool) -> Files:
    own = issue(DOMAIN, names=[DOMAIN])
    return Files(own, roots=[own] if trusted else [issue("Root")])


def no_root() -> Files:
    files = plain()
    files.roots = [issue("Another Root")]
    return files


def _swapped(files: Files) -> None:
    files.own = (*files.bundle, files.leaf)
    files.bundle = ()


def _doubled(files: Files) -> None:
    files.own = (files.leaf, files.leaf, *files.bundle)


def _with_strangers(files: Files) -> None:
    files.bundle = (issue("Stranger"), *files.bundle, issue("Stranger", files.roots[0]))


def _with_root(files: Files) -> None:
    files.bundle = (*files.roots, *files.bundle)


def _without_middle(files: Files) -> None:
    files.bundle = ()


CASES: dict[str, Callable[[], Files]] = {
    "in order": plain,
    "wrong order": held(_swapped),
    "the leaf twice": held(_doubled),
    "strangers beside": held(_with_strangers),
    "the root beside": held(_with_root),
    "no intermediate": held(_without_middle),
    "another root": no_root,
    "straight from the root": straight,
    "four intermediates": deep,
    "another key of the same name": other_generation,
    "an intermediate that is no authority": no_authority,
    "an expired intermediate": old_middle,
    "expired cross-sign, root trusted": lambda: crossed(root_trusted=True, cross_life=-2 * DAY),
    "expired cross-sign, root beside": lambda: crossed(root_trusted=True, cross_life=-2 * DAY, root_beside=True),
    "expired cross-sign, older root trusted": lambda: crossed(root_trusted=False, cross_life=-2 * DAY),
    "cross-sign, older root trusted": lambda: crossed(root_trusted=False, cross_life=300 * DAY),
    "cross-sign, root trusted": lambda: crossed(root_trusted=True, cross_life=300 * DAY),
    "a twin of an unknown root": lambda: twins(expired=False),
    "a twin of an unknown root, ours expired": lambda: twins(expired=True),
    "expired": lambda: plain(since=NOW - 90 * DAY, until=NOW - DAY),
    "not yet valid": lambda: plain(since=NOW + DAY),
    "six days": lambda: plain(since=NOW - DAY, until=NOW + 5 * DAY),
    "six days, for an address": lambda: by_address("203.0.113.7"),
    "another address": lambda: by_address("203.0.113.8"),
    "an empty subject": empty_subject,
    "another name": lambda: plain(names=("example.kz",)),
    "a wildcard": lambda: named(f"api.{DOMAIN}", names=(f"*.{DOMAIN}",)),
    "a wildcard for the bare name": lambda: plain(names=(f"*.{DOMAIN}",)),
    "a wildcard two levels up": lambda: named(f"a.b.{DOMAIN}", names=(f"*.{DOMAIN}",)),
    "a name in Kazakh letters": lambda: named("қазақ.kz", names=("xn--80aaf3fya.kz",)),
    "RSA 2048": by_key(lambda: rsa.generate_private_key(65537, 2048)),
    "RSA 1024": by_key(lambda: rsa.generate_private_key(65537, 1024)),
    "P-384": by_key(lambda: ec.generate_private_key(ec.SECP384R1())),
    "Ed25519": by_key(ed25519.Ed25519PrivateKey.generate),
    "self-signed": lambda: self_signed(trusted=False),
    "self-signed and trusted": lambda: self_signed(trusted=True),
}
ONLY_A_WARNING = "trust.self_signed"  # refused by clients, as the words say; a trial begins with such a pair


def openssl(folder: Path, leaf: x509.Certificate, above: list[x509.Certificate], files: Files) -> tuple[bool, str]:
    """Ask `openssl verify`, as a client that trusts `files.roots`; return its verdict and its words."""
    (folder / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (folder / "above.pem").write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in above))
    (folder / "roots.pem").write_bytes(b"".join(root.pem for root in files.roots))
    asked = ["-verify_ip", files.name] if address_of(files.name) else ["-verify_hostname", ascii_name(files.name)]
    command = ["openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", "roots.pem", "-purpose", "sslserver"]
    command += ["-auth_level", "2", "-attime", str(int(NOW.timestamp())), *asked]
    command += ["-untrusted", "above.pem", "leaf.pem"] if above else ["leaf.pem"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=30)
    return done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", CASES)
def test_the_doctor_refuses_what_openssl_refuses_and_nothing_else(tmp_path: Path, name: str) -> None:
    """A finding that fails the chain stands there exactly where `openssl verify` refuses what would be served."""
    files = CASES[name]()
    paths = PairPaths(tmp_path / "a.crt", tmp_path / "a.key", tmp_path / "a.ca-bundle")
    paths.cert.write_bytes(b"".join(one.pem for one in files.own))
    paths.key.write_bytes(files.leaf.key_pem)
    paths.key.chmod(0o600)
    if files.bundle:
        paths.ca_bundle.write_bytes(b"".join(one.pem for one in files.bundle))
    seen = examine_files(paths, (files.name,), NOW, "en", [root.certificate for root in files.roots])
    assert seen.pair is not None
    believed, words = openssl(tmp_path, seen.pair.leaf, list(seen.pair.chain[1:]), files)
    doubted = [f"{finding.code} ({finding.level})" for finding in seen.findings if finding.level is not Level.OK]
    refused = [found.code for found in seen.findings if found.level is Level.FAIL or found.code == ONLY_A_WARNING]
    assert believed == (not refused), f"openssl: {words}\ndoctor: {doubted}"


@pytest.mark.parametrize(
    "name", ["expired cross-sign, root trusted", "expired cross-sign, root beside", "a twin of an unknown root"]
)
def test_a_way_not_taken_is_a_remark(tmp_path: Path, name: str) -> None:
    """A certificate of another way up, expired or of an unknown root, is told without a warning and is not served."""
    files = CASES[name]()
    paths = PairPaths(tmp_path / "a.crt", tmp_path / "a.key", tmp_path / "a.ca-bundle")
    paths.cert.write_bytes(files.leaf.pem)
    paths.key.write_bytes(files.leaf.key_pem)
    paths.key.chmod(0o600)
    paths.ca_bundle.write_bytes(b"".join(one.pem for one in files.bundle))
    seen = examine_files(paths, (DOMAIN,), NOW, "en", [root.certificate for root in files.roots])
    assert [finding.code for finding in seen.findings if finding.level is not Level.OK] == []
    assert [finding.code for finding in seen.findings].count("chain.other_way") == 1
    assert seen.pair is not None
    assert len(seen.pair.chain) == 2
