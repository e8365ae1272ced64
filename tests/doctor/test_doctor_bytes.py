"""Whatever lies in the files, the doctor says something and raises nothing."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.doctor.finding import Level
from app.doctor.tls.examination import Examined, examine_files
from app.tls.pair_files import PairPaths
from tests.authorities import DOMAIN, NOW, issue

ROOT = issue("Root")
MIDDLE = issue("Middle", ROOT)
LEAF = issue(DOMAIN, MIDDLE, names=[DOMAIN], address="http://127.0.0.1/middle.der")
RSA_MIDDLE = issue("RSA Middle", ROOT, key=rsa.generate_private_key(65537, 2048))
RSA_LEAF = issue(DOMAIN, RSA_MIDDLE, names=[DOMAIN], key=LEAF.key)
CERTIFICATES = (LEAF, MIDDLE, ROOT, RSA_MIDDLE, RSA_LEAF)
BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def block(der: bytes) -> bytes:
    """PEM around anything, so that the readers behind the marks are met, too."""
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


pieces = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=200).map(block),
    st.sampled_from([one.pem for one in CERTIFICATES]),
    st.sampled_from([one.der for one in CERTIFICATES]),
    st.sampled_from([LEAF.key_pem, RSA_MIDDLE.key_pem, b"\xef\xbb\xbf", b"\r\n", b"\x00"]),
)
contents = st.one_of(st.none(), st.lists(pieces, max_size=4).map(b"".join))
flips = st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=3)


def look(folder: Path, cert: bytes | None, key: bytes | None, bundle: bytes | None) -> Examined:
    paths = PairPaths(folder / "a.crt", folder / "a.key", folder / "a.ca-bundle")
    for path, content in zip((paths.cert, paths.key, paths.ca_bundle), (cert, key, bundle), strict=True):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
            path.chmod(0o600)
    return examine_files(paths, [DOMAIN], NOW, "en", [ROOT.certificate])


@BOUNDED
@given(cert=contents, key=contents, bundle=contents)
def test_any_bytes_in_the_files_give_findings(
    tmp_path: Path, cert: bytes | None, key: bytes | None, bundle: bytes | None
) -> None:
    """Any three contents give findings; files that make no pair give at least one that fails (fault 40)."""
    seen = look(tmp_path, cert, key, bundle)
    assert seen.findings
    if seen.pair is None:
        assert any(finding.level is Level.FAIL for finding in seen.findings)


@pytest.mark.parametrize("place", ["cert", "bundle"])
@BOUNDED
@given(flipped=flips)
def test_a_certificate_with_flipped_bytes_gives_findings(
    tmp_path: Path, place: str, flipped: list[tuple[int, int]]
) -> None:
    """A certificate damaged anywhere inside gives findings; without a pair one of them fails (fault 40)."""
    damaged = bytearray(LEAF.der if place == "cert" else RSA_MIDDLE.der)
    for at, mask in flipped:
        damaged[at % len(damaged)] ^= mask
    pem = block(bytes(damaged))
    seen = look(tmp_path, *((pem, LEAF.key_pem, MIDDLE.pem) if place == "cert" else (RSA_LEAF.pem, LEAF.key_pem, pem)))
    assert seen.findings
    if seen.pair is None:
        assert any(finding.level is Level.FAIL for finding in seen.findings)


def test_a_flipped_signature_is_not_called_well(tmp_path: Path) -> None:
    """A leaf whose signature is damaged fails, whichever of its last bytes it is (fault 40)."""
    for place in range(1, 20):
        der = bytearray(LEAF.der)
        der[-place] ^= 1
        seen = look(tmp_path, block(bytes(der)), LEAF.key_pem, MIDDLE.pem)
        assert any(finding.level is Level.FAIL for finding in seen.findings), place
