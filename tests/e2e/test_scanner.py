"""What a scanner from outside says of our listener."""

from pathlib import Path
from typing import Literal

import pytest

from tests.e2e.scanner import ScannerMissing, curves_of, scan
from tests.e2e.serving import serving, short_lived


@pytest.mark.parametrize("profile", ["intermediate", "modern"])
def test_the_listener_is_as_mozilla_recommends(tmp_path: Path, profile: Literal["intermediate", "modern"]) -> None:
    """sslyze finds nothing against the profile that is set, HSTS included."""
    with serving(tmp_path / "server", short_lived(tmp_path), TLS_PROFILE=profile) as served:
        try:
            assert scan("127.0.0.1", served.port, served.ca, profile) == []
        except ScannerMissing as missing:
            pytest.skip(str(missing))


def test_the_scanner_can_tell(tmp_path: Path) -> None:
    """Of the intermediate listener it says what `modern` forbids, and it sees exactly three groups."""
    with serving(tmp_path / "server", short_lived(tmp_path)) as served:
        try:
            complaints = scan("127.0.0.1", served.port, served.ca, "modern")
            curves = curves_of("127.0.0.1", served.port, served.ca)
        except ScannerMissing as missing:
            pytest.skip(str(missing))
    assert [complaint.partition(":")[0] for complaint in complaints] == ["ciphers", "tls_versions"]
    assert curves == ["X25519", "secp256r1", "secp384r1"]
