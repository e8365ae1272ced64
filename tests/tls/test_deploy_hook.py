from pathlib import Path

import pytest

from app.tls import deploy_hook
from app.tls.deploy_hook import handed_over
from app.tls.pair_files import PairPaths, broken

HOOK = """#!/bin/sh
domain={domain}
cert={cert}
key=/opt/a.key
"""


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PairPaths:
    """A pair, and the place where certbot's hook would lie."""
    monkeypatch.setattr(deploy_hook, "HOOK", tmp_path / "hook.sh")
    return PairPaths(tmp_path / "a.crt", tmp_path / "a.key", tmp_path / "a.ca")


def command_for(hook: Path) -> str:
    return f"sudo RENEWED_LINEAGE=/etc/letsencrypt/live/a.kz RENEWED_DOMAINS=a.kz {hook}"


@pytest.mark.parametrize("cause", ["missing", "twin_missing", "empty", "mismatch", "damaged"])
def test_certbot_s_hook_goes_before_a_self_signed_pair(paths: PairPaths, cause: str) -> None:
    """Where certbot renews the pair, its certificate is handed over once more and not replaced (fault 40)."""
    deploy_hook.HOOK.write_text(HOOK.format(domain="a.kz", cert=paths.cert))
    assert broken(cause, paths.key, paths, "en").command == command_for(deploy_hook.HOOK)


def test_a_hook_for_other_files_is_none_of_ours(paths: PairPaths) -> None:
    """A hook that writes another pair does not help; neither does one that cannot be read."""
    deploy_hook.HOOK.write_text(HOOK.format(domain="a.kz", cert="/opt/other.crt"))
    assert handed_over(paths.cert) is None
    deploy_hook.HOOK.write_bytes(b"\xff")
    assert handed_over(paths.cert) is None
    assert "cert self-signed" in broken("empty", paths.cert, paths, "en").command


def test_a_bundle_is_not_the_hook_s(paths: PairPaths) -> None:
    """The hook writes certificate and key alone: a broken bundle is moved away."""
    deploy_hook.HOOK.write_text(HOOK.format(domain="a.kz", cert=paths.cert))
    assert broken("empty", paths.ca_bundle, paths, "en").command.startswith("mv ")
