"""Which certificate names cover which host names, and what is said of keys nobody can read."""

import pytest
from cryptography import x509

from app.doctor.finding import Level
from app.doctor.tls.chain import issuer_key_of, own_key_of
from app.doctor.tls.keys import judge_keys
from app.tls.certificates import self_signed
from app.tls.names import covers
from tests.authorities import DOMAIN, NOW, issue

P256 = bytes.fromhex("2a8648ce3d030107")
NO_CURVE = bytes.fromhex("2a8648ce3d03017f")


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("aibots.kz", "aibots.kz", True),
        ("aibots.kz", "AIBOTS.KZ", True),
        ("aibots.kz", "aibots.kz.", True),
        ("aibots.kz", "www.aibots.kz", False),
        ("*.aibots.kz", "www.aibots.kz", True),
        ("*.aibots.kz", "aibots.kz", False),
        ("*.aibots.kz", "a.b.aibots.kz", False),
        ("*.aibots.kz", "*.aibots.kz", True),
        ("*.aibots.kz", ".aibots.kz", False),
        ("w*.aibots.kz", "www.aibots.kz", False),
        ("*.kz", "aibots.kz", False),
        ("*", "aibots.kz", False),
        ("xn--e1afmkfd.kz", "пример.kz", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("::1", "[::1]", True),
        ("0:0::1", "::1", True),
        ("*.0.0.1", "127.0.0.1", False),
        ("aibots.kz", "", False),
        ("aibots.kz", "б" * 70 + ".kz", False),
    ],
)
def test_names_are_covered_as_clients_see_it(pattern: str, name: str, covered: bool) -> None:
    """A star stands for one whole label below a domain of two; addresses are compared as addresses (fault 39)."""
    assert covers(pattern, name) is covered


def test_key_identifiers_tell_two_keys_of_one_name_apart() -> None:
    """A certificate's issuer key is its issuer's own key, and a certificate without identifiers has none."""
    middle = issue("Middle")
    leaf = issue(DOMAIN, middle, names=[DOMAIN])
    assert issuer_key_of(leaf.certificate) == own_key_of(middle.certificate) is not None
    assert own_key_of(issue("Middle").certificate) != own_key_of(middle.certificate)
    assert issuer_key_of(x509.load_pem_x509_certificate(self_signed(DOMAIN, NOW)[0])) is None


def test_a_key_that_cannot_be_read_is_a_failure() -> None:
    """A certificate whose key is of a kind that cannot even be read fails (fault 39)."""
    leaf = issue(DOMAIN, names=[DOMAIN])
    strange = x509.load_der_x509_certificate(leaf.der.replace(P256, NO_CURVE))
    (finding,) = judge_keys([strange], "unknown", "en", "")
    assert (finding.code, finding.level) == ("keys.unknown", Level.FAIL)
