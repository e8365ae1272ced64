"""The roots of this system, as every program that uses OpenSSL finds them."""

from pathlib import Path

import pytest

from app.tls.roots import system_roots
from tests.authorities import issue

ROOT, OTHER = issue("Root"), issue("Other")


@pytest.fixture(name="store")
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of its own: an empty folder, and a file that is not there yet."""
    folder = tmp_path / "certs"
    folder.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "store.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    return tmp_path


def test_a_system_without_roots_has_none(store: Path) -> None:
    """Without the package ca-certificates there are no roots, and no error."""
    assert not (store / "store.pem").exists()
    assert system_roots() == []


def test_the_file_of_the_environment_counts(store: Path) -> None:
    """SSL_CERT_FILE names the roots, once each, whatever else stands in the file."""
    (store / "store.pem").write_bytes(ROOT.pem + b"# a comment\n" + OTHER.pem + ROOT.pem)
    assert system_roots() == [ROOT.certificate, OTHER.certificate]


def test_single_files_of_a_folder_count(store: Path) -> None:
    """A folder of hashed names is read where there is no bundle in it."""
    (store / "certs" / "0a0b0c0d.0").write_bytes(ROOT.pem)
    (store / "certs" / "README").write_bytes(OTHER.pem)
    (store / "certs" / "deadbeef.0").symlink_to(store / "gone.pem")
    assert system_roots() == [ROOT.certificate]


def test_a_root_that_cannot_be_read_is_left_out(store: Path) -> None:
    """One damaged root does not cost the others."""
    damaged = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    (store / "store.pem").write_bytes(damaged + ROOT.pem)
    assert system_roots() == [ROOT.certificate]
