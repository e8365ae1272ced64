"""Where the pair lies, its names, and how long its issuers are looked for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.config import Settings
from app.doctor import cert_paths
from app.doctor.tls.aia import NotFetched
from app.doctor.tls.examination import Examined, examine_files
from tests.authorities import DOMAIN, NOW, Lineage


@pytest.fixture(name="seen")
def _seen(tmp_path: Path) -> Examined:
    """A leaf whose intermediate lies nowhere but at its address."""
    lineage = Lineage(tmp_path, address="http://127.0.0.1/issuer.der")
    lineage.paths.ca_bundle.unlink()
    return examine_files(lineage.paths, [DOMAIN], NOW, "en", lineage.roots)


def downloads(monkeypatch: pytest.MonkeyPatch, *moments: float) -> list[float]:
    """Let the clock show these moments, the first at the start; return the seconds that each download was given."""
    given: list[float] = []
    clock = iter(moments)

    def download(_url: str, seconds: float) -> bytes:
        given.append(seconds)
        raise NotFetched("timeout")

    def climb(_leaf: object, get: Callable[[str], bytes], _roots: object, _now: object) -> list[object]:
        for _ in moments[1:]:
            with pytest.raises(NotFetched):
                get("http://127.0.0.1/issuer.der")
        return []

    monkeypatch.setattr(cert_paths, "monotonic", lambda: next(clock))
    monkeypatch.setattr(cert_paths, "download", download)
    monkeypatch.setattr(cert_paths, "fetch_issuers", climb)
    return given


def test_the_whole_climb_has_one_deadline(seen: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each download gets its own time, and none more than is left of the minute."""
    given = downloads(monkeypatch, 100.0, 100.0, 150.0, 161.0)
    assert cert_paths.missing_issuers(seen, NOW) == []
    assert given == [15.0, 10.0, 0.0]


def test_a_chain_that_lacks_nothing_fetches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody outside is asked for what is there."""
    lineage = Lineage(tmp_path)
    given = downloads(monkeypatch, 0.0, 0.0)
    assert cert_paths.missing_issuers(examine_files(lineage.paths, [DOMAIN], NOW, "en", lineage.roots), NOW) == []
    assert given == []


def test_a_certificate_without_an_address_fetches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the certificate does not say where its issuer lies there is nothing to ask."""
    lineage = Lineage(tmp_path)
    lineage.paths.ca_bundle.unlink()
    given = downloads(monkeypatch, 0.0, 0.0)
    assert cert_paths.missing_issuers(examine_files(lineage.paths, [DOMAIN], NOW, "en", lineage.roots), NOW) == []
    assert given == []


@pytest.mark.parametrize(
    ("url", "names"),
    [
        (None, ["aibots.kz"]),
        ("https://aibots.kz:8443/x", ["aibots.kz"]),
        ("https://hook.aibots.kz/x", ["aibots.kz", "hook.aibots.kz"]),
    ],
)
def test_the_names_are_the_domain_and_the_webhook_s_host(url: str | None, names: list[str]) -> None:
    """The certificate must cover API_DOMAIN and the host that fal calls, each once."""
    assert cert_paths.names_of(Settings(api_domain="aibots.kz", fal_webhook_url=url)) == names
