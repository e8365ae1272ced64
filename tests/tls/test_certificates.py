import errno
import ipaddress
import os
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from app.domain.errors import CertificateBroken
from app.domain.language import Language
from app.files.ownership import Ownership
from app.tls import pair_files
from app.tls.causes import CAUSES
from app.tls.certificates import ensure_pair, facts_of, self_signed

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LONG = "a" * 60 + ".example.kz"


def test_facts() -> None:
    """The facts of a certificate are its subject, names, issuer, dates, days left, key and SHA-256 fingerprint."""
    certificate = x509.load_pem_x509_certificate(self_signed("aibots.kz", NOW)[0])
    facts = facts_of(certificate, NOW)
    assert facts.subject == facts.issuer == "CN=aibots.kz"
    assert facts.names == ("aibots.kz", "*.aibots.kz", "localhost", "127.0.0.1", "::1")
    assert facts.not_before <= NOW < facts.not_after
    assert facts.days_left == 364
    assert facts.key_type == "EC P-256"
    assert facts.self_signed
    assert len(facts.fingerprint) == 32 * 3 - 1
    assert facts.fingerprint == facts.fingerprint.upper()


def test_facts_of_an_rsa_certificate_from_an_authority() -> None:
    """An RSA key shows its size, and a certificate from an authority is not self-signed."""
    leaf = trustme.CA().issue_cert("aibots.kz", key_type=trustme.KeyType.RSA)
    facts = facts_of(x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()), NOW)
    assert facts.key_type == "RSA 2048"
    assert not facts.self_signed


@pytest.mark.parametrize(
    ("after", "left"), [(-timedelta(hours=25), 1), (-timedelta(seconds=1), 0), (timedelta(seconds=1), -1)]
)
def test_days_left_around_the_end(after: timedelta, left: int) -> None:
    """Days left are whole days, and negative from the moment the certificate ends (fault 39)."""
    certificate = x509.load_pem_x509_certificate(self_signed("aibots.kz", NOW)[0])
    assert facts_of(certificate, certificate.not_valid_after_utc + after).days_left == left


def test_self_signed_is_what_clients_accept() -> None:
    """The self-signed certificate lives at most 397 days, is no authority and is for servers."""
    certificate = x509.load_pem_x509_certificate(self_signed("aibots.kz", NOW)[0])
    extensions = certificate.extensions
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc <= timedelta(days=397)
    assert extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(False, None)
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


@pytest.mark.parametrize(
    ("domain", "names"),
    [
        ("localhost", ("localhost", "127.0.0.1", "::1")),
        ("192.0.2.7", ("localhost", "192.0.2.7", "127.0.0.1", "::1")),
        ("127.0.0.1", ("localhost", "127.0.0.1", "::1")),
        ("пример.kz", ("xn--e1afmkfd.kz", "*.xn--e1afmkfd.kz", "localhost", "127.0.0.1", "::1")),
        (LONG, (LONG, f"*.{LONG}", "localhost", "127.0.0.1", "::1")),
    ],
)
def test_self_signed_names(domain: str, names: tuple[str, ...]) -> None:
    """Addresses, localhost, national and very long names each get a certificate that names them."""
    certificate = x509.load_pem_x509_certificate(self_signed(domain, NOW)[0])
    assert sorted(facts_of(certificate, NOW).names) == sorted(names)


def test_ensure_pair_makes_both(tmp_path: Path) -> None:
    """Where both files are missing a pair is made that OpenSSL loads, its key readable by nobody else."""
    cert, key = tmp_path / "ssl" / "a.crt", tmp_path / "ssl" / "a.key"
    assert ensure_pair(cert, key, "aibots.kz", NOW)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(cert.stat().st_mode) == 0o644
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    assert sorted(path.name for path in cert.parent.iterdir()) == ["a.crt", "a.key"]


def test_ensure_pair_keeps_what_is_there(tmp_path: Path) -> None:
    """A pair that exists is never written over, whatever it holds."""
    cert, key = tmp_path / "a.crt", tmp_path / "a.key"
    cert.write_text("mine")
    key.write_text("mine, too")
    assert not ensure_pair(cert, key, "aibots.kz", NOW)
    assert cert.read_text() + key.read_text() == "minemine, too"


def test_ensure_pair_leaves_no_scratch_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refuses the new pair keeps nothing of it, and the refusal names the file."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("app.tls.certificates.os.fsync", full)
    with pytest.raises(CertificateBroken, match=r"a\.key: cannot be written \(No space left on device\)"):
        ensure_pair(tmp_path / "a.crt", tmp_path / "a.key", "aibots.kz", NOW, "en")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["a.crt", "a.key"])
@pytest.mark.parametrize("language", ["ru", "en"])
def test_ensure_pair_with_one_missing(tmp_path: Path, missing: str, language: Language) -> None:
    """One file of two missing is refused, naming exactly that file and a command (fault 40)."""
    there = ({"a.crt", "a.key"} - {missing}).pop()
    (tmp_path / there).write_text("something")
    with pytest.raises(CertificateBroken) as caught:
        ensure_pair(tmp_path / "a.crt", tmp_path / "a.key", "aibots.kz", NOW, language)
    (finding,) = caught.value.findings
    assert finding.startswith(f"{tmp_path / missing}: ")
    assert "aisha-webhook cert self-signed" in finding
    assert not (tmp_path / missing).exists()


def test_ensure_pair_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A place that cannot be written to is refused by name, not with a traceback."""
    (tmp_path / "ssl").write_text("a file where the folder should be")
    with pytest.raises(CertificateBroken, match=r"ssl/a\.key: cannot be written"):
        ensure_pair(tmp_path / "ssl" / "a.crt", tmp_path / "ssl" / "a.key", "aibots.kz", NOW, "en")


@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_is_worded_and_mended(cause: str) -> None:
    """Every cause has a sentence and a command."""
    assert all(CAUSES[cause])


def test_the_loopback_addresses_are_addresses() -> None:
    """Loopback is named by address, so that a check against 127.0.0.1 passes."""
    certificate = x509.load_pem_x509_certificate(self_signed("aibots.kz", NOW)[0])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ipaddress.ip_address("127.0.0.1") in names.get_values_for_type(x509.IPAddress)


SERVICE_S = Ownership("aisha", "operator", "operator", is_ours=False, is_roots=False)
ROOT_S = Ownership("root", "operator", "aisha", is_ours=False, is_roots=True)


@pytest.mark.parametrize(
    ("cause", "whose", "told", "command"),
    [
        pytest.param(
            "unreadable", SERVICE_S, "unreadable", "sudo chown operator ", id="the reader's file, another's now"
        ),
        pytest.param("unreadable", ROOT_S, "unreadable", "sudo chown aisha ", id="root's file"),
        pytest.param("foreign", SERVICE_S, "foreign", "sudo -u aisha ", id="the service's file"),
        pytest.param("unwritable", SERVICE_S, "foreign_folder", "sudo -u aisha ", id="the service's folder"),
        pytest.param("unwritable", ROOT_S, "unwritable", "sudo install -d -o aisha ", id="root's folder"),
    ],
)
def test_a_folder_is_not_taken_from_its_account(
    cause: str, whose: Ownership, told: str, command: str, *, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what root owns is given to the account of the folder above; another account's folder stays its own."""
    monkeypatch.setattr(pair_files, "ownership_of", lambda _: whose)
    paths = pair_files.PairPaths(tmp_path / "a.crt", tmp_path / "a.key", tmp_path / "a.ca-bundle")
    error = pair_files.broken(cause, paths.key, paths, "en", "Permission denied")
    assert error.cause == told
    assert error.command.startswith(command)
