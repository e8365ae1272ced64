"""Whose certificates are believed."""

import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from app.http_client import trust as trust_module
from app.http_client.trust import trust

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)
    trust_module._context.cache_clear()


def subjects(context: ssl.SSLContext) -> list[object]:
    return [each["serialNumber"] for each in context.get_ca_certs()]


def test_a_file_takes_the_place_of_the_system_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE alone is believed, also by a relative name and beside a folder, and names are checked."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "roots.pem"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", "roots.pem")
    monkeypatch.setenv("SSL_CERT_DIR", "/etc/ssl/certs")
    context = trust()
    assert len(subjects(context)) == 1
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_file_that_is_not_there_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever names roots of his own does not want others."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    with pytest.raises(OSError, match="No such file"):
        trust()


def test_clients_share_what_they_believe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second set of the same roots would cost memory; other roots are another set."""
    first = trust()
    assert trust() is first
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "roots.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    assert trust() is not first


def test_a_python_that_looks_elsewhere_finds_the_system_s_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where OpenSSL's own places hold nothing, bundles of distributions are looked for; without one, nobody counts."""
    (tmp_path / "empty").mkdir()
    paths: Any = ssl.get_default_verify_paths()
    nothing = paths._replace(cafile=None, capath=str(tmp_path / "empty"))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nothing)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda self: None)
    monkeypatch.setattr(trust_module, "BUNDLES", (str(tmp_path / "none.pem"),))
    assert subjects(trust()) == []
    trust_module._context.cache_clear()
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "bundle.pem"))
    monkeypatch.setattr(trust_module, "BUNDLES", (str(tmp_path / "none.pem"), str(tmp_path / "bundle.pem")))
    assert len(subjects(trust())) == 1


def test_no_key_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSLKEYLOGFILE is not followed: whoever reads it reads every connection."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert trust().keylog_filename is None


def test_no_key_is_written_down_by_an_import(tmp_path: Path) -> None:
    """aiohttp makes contexts as it is imported: none of them opens SSLKEYLOGFILE, or ends the start where it cannot."""
    for keys in (tmp_path / "keys", tmp_path / "missing" / "keys"):
        environ = {"SSLKEYLOGFILE": str(keys), "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", "import app.http_client.client"], check=True, env=environ)
        assert not keys.exists()
