"""A start with a certificate that clients will refuse says so aloud."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from structlog.testing import capture_logs

from app.bootstrap.certificate import load_certificate
from app.core.config import Settings
from app.domain.errors import CertificateBroken
from app.tls.chain import put_together
from app.tls.doubts import doubts_about
from app.tls.pair_files import read_content
from tests.authorities import DOMAIN, LIFE, NOW, Lineage
from tests.broken_certificates import CHAINS

DAY = timedelta(days=1)


def settings_of(lineage: Lineage, name: str = DOMAIN) -> Settings:
    paths = lineage.paths
    return Settings(
        api_domain=name,
        ssl_cert_path=paths.cert,
        ssl_key_path=paths.key,
        ssl_ca_bundle_path=paths.ca_bundle,
        default_language="en",
    )


def doubts(settings: Settings) -> list[list[str]]:
    """The codes of each warning that a start logs."""
    with time_machine.travel(NOW, tick=False), capture_logs() as lines:
        assert load_certificate(settings) is not None
    return [line["codes"] for line in lines if line["event"] == "certificate.doubtful"]


@pytest.mark.parametrize(
    ("wreck", "code"),
    [
        pytest.param(lambda lineage: lineage.give(since=NOW + DAY), "dates.not_yet_valid", id="not yet valid"),
        pytest.param(lambda lineage: lineage.give(since=NOW - LIFE, until=NOW - DAY), "dates.expired", id="expired"),
        pytest.param(CHAINS["intermediate expired"].wreck, "dates.issuer_expired", id="intermediate expired"),
        pytest.param(lambda lineage: lineage.give(names=["other.kz"]), "names.uncovered", id="another name"),
    ],
)
def test_a_start_with_a_doubtful_certificate_warns(
    tmp_path: Path, wreck: Callable[[Lineage], object], code: str
) -> None:
    """The server starts with what clients will refuse, and one warning names every reason (fault 39)."""
    lineage = Lineage(tmp_path)
    wreck(lineage)
    assert doubts(settings_of(lineage)) == [[code]]


def test_a_signature_that_nobody_believes_is_a_doubt(tmp_path: Path) -> None:
    """Where OpenSSL would still serve SHA-1 (most refuse it at the start), it is a reason to warn (fault 39)."""
    lineage = Lineage(tmp_path)
    CHAINS["SHA-1"].wreck(lineage)
    pair = put_together(read_content(lineage.paths, "en"), lineage.paths, "en")
    assert [doubt.code for doubt in doubts_about(pair, DOMAIN, NOW)] == ["keys.digest"]


def test_a_start_with_a_good_certificate_is_quiet(tmp_path: Path) -> None:
    """In date, for API_DOMAIN, signed as clients want it: no warning (fault 39)."""
    assert doubts(settings_of(Lineage(tmp_path))) == []


def test_a_self_signed_pair_of_our_own_raises_no_doubt(tmp_path: Path) -> None:
    """The pair that the start makes itself is warned about once, as such (fault 39)."""
    lineage = Lineage(tmp_path)
    for path in (lineage.paths.cert, lineage.paths.key, lineage.paths.ca_bundle):
        path.unlink()
    assert doubts(settings_of(lineage, "own.kz")) == []


def test_a_certificate_without_readable_names_refuses_the_start(tmp_path: Path) -> None:
    """Alternative names that make no sense are a refusal that names the file, not a traceback (fault 40)."""
    lineage = Lineage(tmp_path, names=[DOMAIN])
    name = b"\x82" + bytes([len(DOMAIN)])
    der = lineage.leaf.der.replace(name + DOMAIN.encode(), name + b"\xff" * len(DOMAIN))
    lineage.paths.cert.write_bytes(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM))
    with pytest.raises(CertificateBroken, match=r"a\.crt: the fields of the certificate cannot be read"):
        load_certificate(settings_of(lineage))
