"""The pair in service against a pair that comes: what is taken, what is refused, and when it is tried again."""

import errno
import os
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from structlog.testing import capture_logs

from app.domain.errors import CertificateBroken
from app.tls.live import SHORTAGE, LiveContext
from tests.authorities import DOMAIN, LIFE, NOW, Lineage, issue

DAY = timedelta(days=1)
TOO_MANY = OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.fixture(name="lineage")
def _lineage(tmp_path: Path) -> Lineage:
    return Lineage(tmp_path)


@pytest.fixture(name="live")
def _live(lineage: Lineage) -> LiveContext:
    return serving(lineage)


def serving(lineage: Lineage) -> LiveContext:
    paths = lineage.paths
    live = LiveContext(paths.cert, paths.key, paths.ca_bundle, "en")
    live.load()
    return live


def odd(certificate: x509.Certificate) -> bytes:
    """The certificate with a subject that is no UTF-8: it decodes, and its subject cannot be read."""
    name = b"\x0c" + bytes([len(DOMAIN)])
    der = certificate.public_bytes(Encoding.DER).replace(name + DOMAIN.encode(), name + b"\xff" * len(DOMAIN))
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def shown(live: LiveContext) -> x509.Certificate:
    return live.served.leaf


@pytest.mark.parametrize("place", ["cert", "ca_bundle"])
def test_an_odd_certificate_is_refused_by_name(lineage: Lineage, live: LiveContext, place: str) -> None:
    """Fields that cannot be read are trouble with the file's name, and the next good pair is served (fault 41)."""
    before = shown(live)
    path: Path = getattr(lineage.paths, place)
    lineage.give()
    path.write_bytes(path.read_bytes() + odd(issue(DOMAIN, lineage.middle, names=[DOMAIN]).certificate))
    assert [live.refresh(NOW), live.refresh(NOW)] == [False, False]
    assert live.trouble[0].startswith(f"{path}: the fields of the certificate cannot be read (№ ")
    assert shown(live) == before
    lineage.give()
    assert [live.refresh(NOW), live.refresh(NOW)] == [False, True]
    assert live.trouble == ()


def test_an_odd_certificate_refuses_the_start(lineage: Lineage) -> None:
    """A start with such a leaf is a refusal that names the file, not a traceback (fault 40)."""
    lineage.paths.cert.write_bytes(odd(lineage.leaf.certificate))
    with pytest.raises(CertificateBroken, match=r"a\.crt: the fields of the certificate cannot be read"):
        serving(lineage)


def test_an_odd_certificate_is_refused_on_demand(lineage: Lineage, live: LiveContext) -> None:
    """A reload that meets such a leaf says so and raises nothing (fault 41)."""
    lineage.paths.cert.write_bytes(odd(lineage.leaf.certificate))
    assert not live.reload(NOW)
    assert live.trouble


def test_a_shortage_is_trouble_until_it_passes(
    lineage: Lineage, live: LiveContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without descriptors the old pair stays; the new one is tried again by itself, and told once (fault 41)."""

    def refuse(*_: object) -> int:
        raise TOO_MANY

    lineage.give()
    with monkeypatch.context() as patched, capture_logs() as lines:
        patched.setattr(os, "memfd_create", refuse)
        assert [live.refresh(NOW + SHORTAGE * n) for n in range(4)] == [False] * 4
    assert [line["event"] for line in lines] == ["certificate.refused"]
    assert "Too many open files" in live.trouble[0]
    assert not live.refresh(NOW + SHORTAGE * 3)
    assert live.refresh(NOW + SHORTAGE * 4)
    assert live.trouble == ()
    assert shown(live) == lineage.leaf.certificate


def test_a_file_that_cannot_be_opened_for_a_shortage_is_not_called_closed(
    lineage: Lineage, live: LiveContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptor left to read with is no reason to change the owner of a file (fault 41)."""

    def refuse(*_: object, **__: object) -> object:
        raise TOO_MANY

    lineage.give()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        assert not live.reload(NOW)
    assert "short of resources" in live.trouble[0]
    assert "chown" not in live.trouble[0]


def test_an_expired_pair_does_not_replace_a_valid_one(lineage: Lineage, live: LiveContext) -> None:
    """What has expired stays aside while the served one is valid, and is trouble (faults 39, 41)."""
    before = shown(live)
    lineage.give(since=NOW - LIFE, until=NOW - DAY)
    assert [live.refresh(NOW) for _ in range(3)] == [False] * 3
    assert "expired on 2026-11-21 12:00 UTC" in live.trouble[0]
    assert shown(live) == before


def test_a_pair_of_tomorrow_is_served_tomorrow(lineage: Lineage, live: LiveContext) -> None:
    """What is not valid yet is trouble, and taken by itself once its time has come (faults 39, 41)."""
    lineage.give(since=NOW + DAY)
    with capture_logs() as lines:
        assert [live.refresh(at) for at in (NOW, NOW, NOW, NOW + DAY - SHORTAGE)] == [False] * 4
    assert [line["event"] for line in lines] == ["certificate.refused"]
    assert "becomes valid only on 2026-11-23 12:00 UTC" in live.trouble[0]
    assert live.refresh(NOW + DAY)
    assert live.trouble == ()
    assert shown(live) == lineage.leaf.certificate


@pytest.mark.parametrize(
    "leaf",
    [
        pytest.param({"since": NOW + LIFE * 2}, id="not yet valid"),
        pytest.param({"since": NOW - LIFE, "until": NOW - DAY}, id="expired"),
    ],
)
def test_of_two_that_clients_refuse_the_newer_is_served(
    lineage: Lineage, live: LiveContext, leaf: dict[str, object]
) -> None:
    """Once the served one has expired too, the files decide again (fault 41)."""
    lineage.give(**leaf)
    assert [live.refresh(NOW), live.refresh(NOW)] == [False, False]
    assert live.refresh(NOW + LIFE)
    assert shown(live) == lineage.leaf.certificate


def test_a_clock_that_is_put_right_is_heard(lineage: Lineage, live: LiveContext) -> None:
    """A good pair refused by a clock a hundred days ahead is served once the clock is right (faults 15, 41)."""
    lineage.give(since=NOW - DAY, until=NOW + DAY)
    ahead = NOW + LIFE * 2 / 3
    assert [live.refresh(ahead) for _ in range(3)] == [False] * 3
    assert "expired" in live.trouble[0]
    assert live.refresh(NOW)
    assert shown(live) == lineage.leaf.certificate


def test_a_reload_on_demand_keeps_what_is_valid(lineage: Lineage, live: LiveContext) -> None:
    """SIGHUP, which hooks send too, does not serve an expired pair in place of a valid one (fault 41)."""
    before = shown(live)
    lineage.give(since=NOW - LIFE, until=NOW - DAY)
    assert not live.reload(NOW)
    assert shown(live) == before


def test_a_start_serves_what_there_is(lineage: Lineage) -> None:
    """At the start there is nothing better to serve: an expired pair is loaded (fault 39)."""
    lineage.give(since=NOW - LIFE, until=NOW - DAY)
    assert shown(serving(lineage)) == lineage.leaf.certificate


def test_a_pair_ends_with_the_first_of_its_chain(lineage: Lineage) -> None:
    """An intermediate that expires before the leaf ends the pair (fault 39)."""
    end = NOW + DAY
    lineage.middle = issue("Test Intermediate", lineage.root, until=end)
    lineage.give()
    pair = serving(lineage).served
    assert pair.ends == end < pair.leaf.not_valid_after_utc


def test_another_way_up_is_served_once_the_first_has_expired(lineage: Lineage) -> None:
    """Of two intermediates with one key the second is served when the first ends, without a change of the files."""
    end, key = NOW + 3 * DAY, lineage.middle.key
    first = issue("Test Intermediate", lineage.root, key=key, until=end)
    second = issue("Test Intermediate", lineage.root, key=key, since=NOW + DAY, until=NOW + 900 * DAY)
    lineage.paths.ca_bundle.write_bytes(first.pem + second.pem)
    live = LiveContext(lineage.paths.cert, lineage.paths.key, lineage.paths.ca_bundle, "en")
    live.load(NOW)
    assert live.served.chain[1] == first.certificate
    assert not live.refresh(end)
    assert not live.refresh(end)
    assert live.refresh(end + timedelta(seconds=1))
    assert live.served.chain[1] == second.certificate


def test_a_chain_without_another_way_is_looked_at_once(lineage: Lineage) -> None:
    """Where the files hold no other way, an expired intermediate stays served, and the search is not repeated."""
    end = NOW + 3 * DAY
    lineage.middle = issue("Test Intermediate", lineage.root, until=end)
    lineage.give()
    live = serving(lineage)
    served = live.served
    for _ in range(3):
        assert not live.refresh(end + DAY)
    assert live.served is served
    assert live._ways_tried is served
