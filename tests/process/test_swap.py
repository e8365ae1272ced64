"""The certificate changes while clients come in: the bounded form; `make e2e` renews twenty times."""

import random
from pathlib import Path

import pytest
import trustme

from app.server import run
from app.server.listener import Listener
from tests.process.listening import Files, running, wait_until
from tests.process.swapping import served_after, shaking, spoil

RENEWALS, HANDSHAKES = 6, 1000
SEED = 20261122


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_the_certificate_is_swapped_without_a_failed_handshake(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """EC becomes RSA and back, bad pairs come and go: 1,000 handshakes, none fails (fault 41)."""
    monkeypatch.setattr(run, "WATCH_EVERY", 0.05)
    chance = random.Random(SEED)
    live, good = files.live(), [files.fingerprint()]
    with running(Listener("127.0.0.1", 0, live), client=files.client()) as server, shaking(server, HANDSHAKES) as seen:
        for number in range(RENEWALS):
            before = live.served.leaf
            spoil(files, chance)
            wait_until(lambda: bool(live.trouble))
            assert live.served.leaf == before
            files.issue((trustme.KeyType.RSA, trustme.KeyType.ECDSA)[number % 2])
            good.append(files.fingerprint())
            served_after(server, good[-1], within=10)
            assert live.trouble == ()
    assert seen.failures == []
    assert set(seen.shown) <= set(good), f"seed {SEED}"
    assert seen.shown.total() >= HANDSHAKES
