"""The certificate that a server begins with, found in another process."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import time_machine
from structlog.testing import capture_logs

from app.bootstrap import certificate
from app.bootstrap.certificate import begin_look, load_certificate
from app.domain.errors import CertificateBroken
from app.files.apart import Apart
from app.tls.pair_files import PairBroken, broken
from app.tls.served import ServedPair
from tests.authorities import DOMAIN, NOW, Lineage
from tests.tls.test_doubts import settings_of

Wreck = Callable[[Lineage], object]


class Killed(Apart[object]):
    """Work that the kernel ended."""

    def __init__(self) -> None:
        pass

    def result(self) -> object:
        raise EOFError


def as_told(lineage: Lineage, *, apart: bool) -> tuple[ServedPair, list[str]]:
    settings = settings_of(lineage)
    with time_machine.travel(NOW, tick=False), capture_logs() as lines:
        tls = load_certificate(settings, begin_look(settings) if apart else None)
    assert tls is not None
    return tls.served, [line["event"] for line in lines]


@pytest.mark.parametrize(
    "wreck",
    [
        pytest.param(lambda _: None, id="in order"),
        pytest.param(lambda lineage: lineage.paths.ca_bundle.unlink(), id="intermediate missing"),
        pytest.param(lambda lineage: lineage.give(names=["other.kz"]), id="another name"),
    ],
)
def test_another_process_finds_what_this_one_would(tmp_path: Path, wreck: Wreck) -> None:
    """The same chain, key, words in the log."""
    lineage = Lineage(tmp_path)
    wreck(lineage)
    assert as_told(lineage, apart=True) == as_told(lineage, apart=False)


def test_a_pair_is_made_there_too(tmp_path: Path) -> None:
    """Where there is none the start says that it made one, and serves it."""
    lineage = Lineage(tmp_path)
    for path in (lineage.paths.cert, lineage.paths.key, lineage.paths.ca_bundle):
        path.unlink()
    pair, told = as_told(lineage, apart=True)
    assert told == ["certificate.self_signed_made", "certificate.loaded"]
    assert pair.is_self_signed
    assert pair.chain_pem == lineage.paths.cert.read_bytes()


def test_what_is_broken_is_told_in_the_same_words(tmp_path: Path) -> None:
    """The file, the cause and the command come through."""
    lineage = Lineage(tmp_path)
    lineage.paths.key.write_bytes(b"junk")
    findings = []
    for apart in (True, False):
        with pytest.raises(CertificateBroken) as refused:
            as_told(lineage, apart=apart)
        findings.append(refused.value.findings)
    assert findings[0] == findings[1]
    assert str(lineage.paths.key) in findings[0][0]


def test_a_refusal_keeps_all_that_it_says(tmp_path: Path) -> None:
    """Also on its way between two processes."""
    paths = Lineage(tmp_path).paths
    refusal = broken("unreadable", paths.key, paths, "en", "Permission denied")
    again = pickle.loads(pickle.dumps(refusal))
    assert isinstance(again, PairBroken)
    for name in ("findings", "cause", "told", "command", "reason"):
        assert getattr(again, name) == getattr(refusal, name), name


def test_a_look_that_is_killed_is_done_here(tmp_path: Path) -> None:
    """A start does not fail for want of a process's memory."""
    settings = settings_of(Lineage(tmp_path))
    tls = load_certificate(settings, Killed())  # type: ignore[arg-type]
    assert tls is not None
    assert DOMAIN in tls.served.links[0].subject


def test_without_another_process_the_look_is_done_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system has none left."""

    def starved(*_: object) -> None:
        raise BlockingIOError

    settings = settings_of(Lineage(tmp_path))
    monkeypatch.setattr(certificate, "Apart", starved)
    assert begin_look(settings) is None
    assert load_certificate(settings, None) is not None
