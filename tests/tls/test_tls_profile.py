"""Versions, ciphers and groups of the two profiles, tried with handshakes in memory."""

import ctypes
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from structlog.testing import capture_logs

from app.tls import groups
from app.tls.groups import GroupsUnset, restrict_groups
from app.tls.live import LiveContext
from app.tls.profile import PROFILES, ProfileName, choose_groups, hardened

AUTHORITY = trustme.CA()


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ssl")
    # RSA: in TLS 1.2 an ECDSA certificate's own curve must be among the client's groups.
    leaf = AUTHORITY.issue_cert("localhost", key_type=trustme.KeyType.RSA)
    (folder / "crt").write_bytes(leaf.cert_chain_pems[0].bytes())
    (folder / "key").write_bytes(leaf.private_key_pem.bytes())
    return folder


def client(group: str | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    AUTHORITY.configure_trust(context)
    if group is not None:
        try:
            context.set_ecdh_curve(group)
        except ssl.SSLError:  # Python 3.11.2 (Debian 12) knows neither X25519 nor X448 here, though its OpenSSL does
            restrict_groups(context, [group])
    return context


def shake(folder: Path, profile: ProfileName, asking: ssl.SSLContext) -> str | None:
    """Return the version agreed on; raises SSLError."""
    live = LiveContext(folder / "crt", folder / "key", folder / "none", profile=profile)
    live.load()
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = live.context.wrap_bio(up, down, server_side=True)
    theirs = asking.wrap_bio(down, up, server_hostname="localhost")
    for side in (theirs, ours) * 4:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return theirs.version()


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("group", "offered"),
    [
        ("X25519", True),
        ("prime256v1", True),
        ("secp384r1", True),
        ("secp521r1", False),
        ("X448", False),
        ("brainpoolP256r1", False),
    ],
)
def test_only_mozillas_three_groups_are_offered(
    folder: Path, profile: ProfileName, version: ssl.TLSVersion, group: str, *, offered: bool
) -> None:
    """X25519, P-256 and P-384, in either profile and version; also after the move to the inner context."""
    asking = client(group)
    asking.minimum_version = asking.maximum_version = version
    if offered and version >= PROFILES[profile].oldest:
        assert shake(folder, profile, asking) == version.name.replace("v1_", "v1.")
    else:
        with pytest.raises(ssl.SSLError):
            shake(folder, profile, asking)


def test_modern_speaks_tls_1_3_only(folder: Path) -> None:
    """A client that ends with TLS 1.2 is refused by `modern` and served by `intermediate`."""
    old = client()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shake(folder, "intermediate", old) == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        shake(folder, "modern", old)
    assert shake(folder, "modern", client()) == "TLSv1.3"


def unknown_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))


def hidden_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "_ssl", SimpleNamespace())


def another_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "_ssl", SimpleNamespace(__file__=ctypes.__file__.replace("__init__.py", "none.so")))


def another_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.options |= ssl.OP_NO_TICKET
    real = groups._pointer
    monkeypatch.setattr(groups, "_pointer", lambda _context: real(stranger))


@pytest.mark.skipif(hasattr(ssl.SSLContext, "set_groups"), reason="this Python sets groups itself")
@pytest.mark.parametrize("obstacle", [unknown_python, hidden_openssl, another_library, another_layout])
def test_where_groups_cannot_be_chosen_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, obstacle: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """Nothing is written through a pointer that is not proven, and the server starts with OpenSSL's own groups."""
    context = hardened(PROFILES["intermediate"])
    with monkeypatch.context() as patch, capture_logs() as lines:
        obstacle(patch)
        choose_groups(context, PROFILES["intermediate"])
    assert [(line["event"], line["log_level"]) for line in lines] == [("tls.groups_unset", "warning")]


class OwnGroups(ssl.SSLContext):
    """A context as Python 3.15 has it, which knows none of the groups."""

    def set_groups(self, groups: str) -> None:
        raise ssl.SSLError(1, f"unknown group: {groups}")


def test_a_python_that_sets_groups_itself_refuses_alike() -> None:
    """What ssl raises for a group that it does not know is our own error, too, so the server starts all the same."""
    with pytest.raises(GroupsUnset, match="P-257"):
        restrict_groups(OwnGroups(ssl.PROTOCOL_TLS_SERVER), ["P-257"])


def test_a_group_that_openssl_does_not_know_is_named() -> None:
    """A misspelt group is refused by name instead of leaving a context without any."""
    with pytest.raises(GroupsUnset, match="P-257"):
        restrict_groups(hardened(PROFILES["intermediate"]), ["P-257"])
