"""The certificate changes twenty times under a running server, at the pace of the real watch (fault 41)."""

import random
import time
from pathlib import Path

import trustme

from tests.e2e.serving import Pair, Served, serving
from tests.faults.rig import tell
from tests.process.listening import Files, Running
from tests.process.swapping import served_after, shake, shaking, spoil

RENEWALS, HANDSHAKES = 20, 1000
SERVED_WITHIN = 10.0  # s
REFUSED_WITHIN = 10.0  # s
REFUSED = '"certificate.refused"'
SEED = 20261122


def refused_after(served: Served, known: int) -> None:
    """Wait until the log tells of one refusal more."""
    end = time.monotonic() + REFUSED_WITHIN
    while served.log().count(REFUSED) == known:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_twenty_renewals_cost_no_handshake(tmp_path: Path) -> None:
    """EC and RSA in turn, every other one spoilt first: each is served within 10 s, nothing else ever (fault 41)."""
    chance = random.Random(SEED)
    files = Files(tmp_path)
    ca = tmp_path / "root.pem"
    files.root.cert_pem.write_to_path(str(ca))
    pair = Pair(files.cert, files.key, ca)
    good, took = [files.fingerprint()], list[float]()
    with serving(tmp_path / "server", pair, SSL_CA_BUNDLE_PATH=str(files.bundle)) as served:
        server = Running(None, served.port, files.client())  # type: ignore[arg-type]  # it is in the child
        with shaking(server, HANDSHAKES) as seen:
            for number in range(RENEWALS):
                if number % 2:
                    known = served.log().count(REFUSED)
                    spoil(files, chance)
                    refused_after(served, known)
                    assert shake(server) == good[-1]
                files.issue((trustme.KeyType.RSA, trustme.KeyType.ECDSA)[number % 2])
                good.append(files.fingerprint())
                took.append(served_after(server, good[-1], SERVED_WITHIN))
        refusals = served.log().count(REFUSED)
    tell(
        "swap",
        seed=SEED,
        renewals=RENEWALS,
        handshakes=seen.shown.total(),
        failed=len(seen.failures),
        refused_pairs=refusals,
        slowest=f"{max(took):.1f} s",
    )
    assert seen.failures == []
    assert set(seen.shown) == set(good)
    assert refusals >= RENEWALS // 2
