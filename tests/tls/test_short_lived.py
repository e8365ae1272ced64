"""Certificates of six days, by address and without a subject are ordinary: every look ahead is a share of the life."""

import ipaddress
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from app.doctor.finding import Level
from app.doctor.tls.examination import examine_files
from app.domain.alert import Alarm
from app.domain.alert_rules import Certificate, _certificate_alarms
from app.tls.certificates import facts_of, pkcs8
from app.tls.doubts import doubts_about
from app.tls.live import LiveContext
from app.tls.pair_files import PairPaths
from tests.authorities import DOMAIN, NOW, SIGNS, Issued, issue

LIFE = timedelta(days=6)
ADDRESS = "203.0.113.7"
KINDS: dict[str, tuple[str, x509.GeneralName, bool]] = {
    "six days": (DOMAIN, x509.DNSName(DOMAIN), False),
    "by address": (ADDRESS, x509.IPAddress(ipaddress.ip_address(ADDRESS)), True),
    "no subject": (DOMAIN, x509.DNSName(DOMAIN), True),
}
# Of six days: four are left, and then two, one, a quarter of one, none.
LOOKS = [
    (timedelta(0), "dates.ok", None),
    (timedelta(days=3, hours=23), "dates.ok", None),
    (timedelta(days=4, hours=1), "dates.ends_soon", "warn"),
    (timedelta(days=5, hours=1), "dates.ends_now", "critical"),
    (timedelta(days=6, hours=1), "dates.expired", "critical"),
]


def short(by: Issued, alternative: x509.GeneralName, since: datetime, *, blank: bool) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    common = x509.NameAttribute(x509.NameOID.COMMON_NAME, DOMAIN)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([] if blank else [common]))
        .issuer_name(by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(since + LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=False, crl_sign=False, **SIGNS), critical=True
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=blank)
        .sign(by.key, hashes.SHA256())
    )
    return Issued(certificate, key)


class Ground:
    """An authority, and the files of a server with a short-lived certificate of it."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.name, self.alternative, self.blank = KINDS[kind]
        self.root = issue("Root", since=NOW - timedelta(days=9))
        self.middle = issue("Middle", self.root, since=NOW - timedelta(days=9))
        self.paths = PairPaths(folder / "a.crt", folder / "a.key", folder / "a.ca-bundle")
        self.paths.ca_bundle.write_bytes(self.middle.pem)
        self.renew(NOW)

    def renew(self, since: datetime) -> x509.Certificate:
        leaf = short(self.middle, self.alternative, since, blank=self.blank)
        self.paths.key.write_bytes(pkcs8(leaf.key))
        self.paths.key.chmod(0o600)
        self.paths.cert.write_bytes(leaf.pem)
        return leaf.certificate

    def serve(self) -> LiveContext:
        live = LiveContext(self.paths.cert, self.paths.key, self.paths.ca_bundle, "en")
        live.load(NOW)
        return live


@pytest.fixture(name="ground", params=KINDS)
def _ground(tmp_path: Path, request: pytest.FixtureRequest) -> Ground:
    return Ground(tmp_path, request.param)


def alarms(certificate: x509.Certificate, now: datetime) -> Iterator[Alarm]:
    facts = Certificate(certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    return _certificate_alarms(facts, "here", now)


@pytest.mark.parametrize(("later", "code", "level"), LOOKS, ids=[str(later) for later, _, _ in LOOKS])
def test_doctor_and_alerts_look_ahead_by_shares_of_six_days(
    ground: Ground, later: timedelta, code: str, level: str | None
) -> None:
    """For four days nothing is said; a third of the life left is a warning, a sixth is critical, for each kind."""
    now = NOW + later
    seen = examine_files(ground.paths, (ground.name,), now, "en", [ground.root.certificate])
    assert code in [finding.code for finding in seen.findings]
    if code == "dates.ok":
        assert [finding.code for finding in seen.findings if finding.level is not Level.OK] == []
    assert seen.pair is not None
    assert {str(alarm.level) for alarm in alarms(seen.pair.leaf, now)} == ({level} if level else set())


def test_a_fresh_one_raises_no_doubt_at_the_start(ground: Ground) -> None:
    """What the start warns of does not begin with a short life, an address or an empty subject."""
    assert doubts_about(ground.serve().served, ground.name, NOW + timedelta(hours=1)) == []


def test_a_renewal_every_three_days_is_served_each_time(ground: Ground) -> None:
    """Ten renewals, each half a life after the last: each is served at the second look, and none is refused."""
    live = ground.serve()
    for turn in range(1, 11):
        now = NOW + turn * LIFE / 2
        leaf = ground.renew(now)
        live.refresh(now)
        assert live.refresh(now)
        assert live.served.leaf == leaf
        assert live.trouble == ()


def test_the_status_counts_whole_days(ground: Ground) -> None:
    """`cert status` shows six days at the start, 0 on the last day, and less than none after the end."""
    leaf = ground.serve().served.leaf
    assert [facts_of(leaf, NOW + days * timedelta(days=1, minutes=1)).days_left for days in (0, 1, 5, 7)] == [
        6,
        4,
        0,
        -2,
    ]


def test_a_way_is_verified_a_third_of_its_life_ahead(ground: Ground) -> None:
    """Trust is looked at two days ahead of a certificate of six, not a month: a month on it has always ended."""
    seen = examine_files(ground.paths, (ground.name,), NOW, "en", [ground.root.certificate])
    [told] = [finding for finding in seen.findings if finding.code == "trust.ok"]
    assert " 2 days" in told.text
