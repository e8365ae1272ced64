"""What the doctor says of each way in which certificate files go wrong."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from app.doctor.finding import Finding, Level
from app.doctor.tls import files
from app.doctor.tls.examination import Examined, examine_files
from app.doctor.tls.words import REMEDIES
from app.domain.errors import CertificateBroken
from app.domain.language import Language
from app.files.ownership import Ownership
from app.tls import pair_files
from app.tls.causes import CAUSES
from app.tls.live import LiveContext
from tests.authorities import DOMAIN, NOW, Lineage, issue
from tests.broken_certificates import CHAINS, FAIL, FILES, no_intermediate, self_signed, wrong_order


@pytest.fixture(name="lineage")
def _lineage(tmp_path: Path) -> Lineage:
    return Lineage(tmp_path)


def look(lineage: Lineage, *names: str, language: Language = "en") -> Examined:
    return examine_files(lineage.paths, names or (DOMAIN,), NOW, language, lineage.roots)


def bad(seen: Examined) -> list[Finding]:
    return [finding for finding in seen.findings if finding.level is not Level.OK]


def test_files_in_order_give_nothing_but_good_news(lineage: Lineage) -> None:
    """A complete chain to a trusted root, in date, for our names, is called well in every respect."""
    seen = look(lineage, DOMAIN, f"api.{DOMAIN}")
    assert [finding.code for finding in seen.findings] == [
        "files.ok",
        "dates.ok",
        "names.ok",
        "keys.ok",
        "chain.ok",
        "trust.ok",
    ]
    assert bad(seen) == []
    assert seen.pair is not None


def test_a_key_of_the_service_s_is_asked_about_and_not_taken(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that only we may not read, for it is another account's, warns and names the command to ask as that one."""
    whose = Ownership("aisha", "operator", "operator", is_ours=False, is_roots=False)
    real = Path.open

    def refuse(path: Path, *words: Any) -> Any:
        if path == lineage.paths.key:
            raise PermissionError(13, "Permission denied")
        return real(path, *words)

    monkeypatch.setattr(Path, "open", refuse)
    for module in (pair_files, files):
        monkeypatch.setattr(module, "ownership_of", lambda _: whose)
    (finding,) = bad(look(lineage))
    assert (finding.code, finding.level) == ("files.foreign", Level.WARN)
    assert finding.command == f"sudo -u aisha {sys.executable} -m app.cli doctor"


@pytest.mark.parametrize("name", CHAINS)
def test_a_bad_chain_is_named_with_level_remedy_and_command(lineage: Lineage, name: str) -> None:
    """Each bad chain gives one verdict: what is wrong, how bad, what to do, what to run (fault 39)."""
    verdict = CHAINS[name]
    verdict.wreck(lineage)
    seen = look(lineage)
    (finding,) = bad(seen)
    assert (finding.code, finding.level) == (verdict.code, verdict.level)
    assert verdict.remedy in finding.remedy
    assert verdict.command in finding.command
    assert seen.pair is not None


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_named_with_level_remedy_and_command(lineage: Lineage, name: str) -> None:
    """Each bad file is named with its cause, how bad that is, what to do and what to run (fault 40)."""
    verdict = FILES[name]
    verdict.wreck(lineage)
    seen = look(lineage)
    finding = bad(seen)[0]
    assert (finding.code, finding.level) == (verdict.code, verdict.level)
    assert verdict.remedy in finding.remedy
    assert verdict.command in finding.command
    assert str(lineage.paths.cert.parent) in finding.text
    assert (seen.pair is None) == (verdict.level is FAIL)


def test_every_bad_file_is_named_at_once(lineage: Lineage) -> None:
    """A bad certificate, a bad key and a bad bundle are all three named in one look (fault 40)."""
    lineage.paths.cert.write_bytes(b"")
    lineage.paths.key.write_bytes(b"hello")
    lineage.paths.ca_bundle.write_bytes(lineage.middle.der)
    assert [finding.code for finding in bad(look(lineage))] == [
        "files.empty",
        "files.no_key",
        "files.der_certificate",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_key_that_cannot_be_read_is_named(lineage: Lineage) -> None:
    """A key the server may not read is a finding with the command that opens it (fault 40)."""
    lineage.paths.key.chmod(0)
    (finding,) = bad(look(lineage))
    assert finding.code == "files.unreadable"
    assert "chmod u+r" in finding.command


def test_self_signed_is_judged_honestly(lineage: Lineage) -> None:
    """Self-signed gets the truth: fal's tolerance is not documented, a public chain is the safe choice (fault 39)."""
    self_signed(lineage)
    (finding,) = bad(look(lineage))
    assert "whether fal accepts that is not documented" in finding.text
    assert "Let's Encrypt" in finding.remedy


def test_a_missing_intermediate_is_named_by_issuer_key_and_address(lineage: Lineage) -> None:
    """Who is missing, with which key, and where it lies are all in the finding, and it can be mended (fault 39)."""
    no_intermediate(lineage)
    (finding,) = bad(look(lineage))
    identifier = lineage.middle.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert "CN=Test Intermediate" in finding.text
    assert identifier[:8].hex(":").upper() in finding.text
    assert finding.fixable


def test_without_a_name_asked_for_trust_is_judged_by_the_certificates_own(lineage: Lineage) -> None:
    """Where no name is asked for, the chain is verified for a name of the certificate's own, a wildcard included."""
    lineage.give(names=["*.aibots.kz"])
    seen = examine_files(lineage.paths, [], NOW, "en", lineage.roots)
    assert seen.findings[-1].code == "trust.ok"


def test_without_roots_trust_is_not_judged(lineage: Lineage) -> None:
    """A machine without ca-certificates is told so, with the package to install."""
    seen = examine_files(lineage.paths, [DOMAIN], NOW, "en", [])
    (finding,) = bad(seen)
    assert (finding.code, finding.command) == ("trust.no_roots", "sudo apt install ca-certificates")


def test_a_certificate_without_names_is_said_to_have_none(lineage: Lineage) -> None:
    """A certificate with nothing but a common name covers no name (fault 39)."""
    lineage.leaf = issue(DOMAIN, lineage.middle)
    lineage.paths.cert.write_bytes(lineage.leaf.pem)
    lineage.paths.key.write_bytes(lineage.leaf.key_pem)
    assert "names.none" in [finding.code for finding in bad(look(lineage))]


def test_certbots_files_are_left_to_certbot(tmp_path: Path) -> None:
    """Where the files are links into a folder of certbot's, the command is certbot's and nothing is called fixable."""
    home = tmp_path / "letsencrypt"
    for folder in ("archive/aibots", "live/aibots", "renewal"):
        (home / folder).mkdir(parents=True)
    (home / "renewal" / "aibots.conf").touch()
    lineage = Lineage(home / "archive" / "aibots")
    wrong_order(lineage)
    link = home / "live" / "aibots" / "fullchain.pem"
    link.symlink_to(lineage.paths.cert)
    paths = type(lineage.paths)(link, lineage.paths.key, lineage.paths.ca_bundle)
    (finding,) = bad(examine_files(paths, [DOMAIN], NOW, "en", lineage.roots))
    assert finding.code == "chain.order"
    assert finding.command == "sudo certbot renew --force-renewal --cert-name aibots"
    assert not finding.fixable


def test_certbots_certificate_without_intermediates_is_known(tmp_path: Path) -> None:
    """Whoever names certbot's cert.pem is told of the fullchain.pem beside it (fault 39)."""
    home = tmp_path / "letsencrypt"
    for folder in ("live/aibots", "renewal"):
        (home / folder).mkdir(parents=True)
    (home / "renewal" / "aibots.conf").touch()
    lineage = Lineage(home / "live" / "aibots")
    no_intermediate(lineage)
    cert, whole = lineage.paths.cert.with_name("cert.pem"), lineage.paths.cert.with_name("fullchain.pem")
    lineage.paths.cert.rename(cert)
    whole.write_bytes(lineage.leaf.pem + lineage.middle.pem)
    paths = type(lineage.paths)(cert, lineage.paths.key, lineage.paths.ca_bundle)
    (finding,) = bad(examine_files(paths, [DOMAIN], NOW, "en", lineage.roots))
    assert (finding.code, finding.level, finding.fixable) == ("chain.not_full", FAIL, False)
    assert f"SSL_CERT_PATH={whole}" in finding.remedy


@pytest.mark.parametrize("name", [*CHAINS, *FILES])
def test_what_the_server_refuses_the_doctor_calls_a_failure(lineage: Lineage, name: str) -> None:
    """A pair that the server does not start with fails the doctor, too; the rest it starts with (faults 39, 40)."""
    {**CHAINS, **FILES}[name].wreck(lineage)
    seen = look(lineage)
    paths = lineage.paths
    try:
        LiveContext(paths.cert, paths.key, paths.ca_bundle, "en").load()
    except CertificateBroken:
        assert any(finding.level is FAIL for finding in seen.findings)
    else:
        assert seen.pair is not None


@pytest.mark.parametrize("name", [*CHAINS, *FILES])
def test_verdicts_are_spoken_in_russian(lineage: Lineage, name: str) -> None:
    """The same verdict, with the same command, is worded in Russian."""
    {**CHAINS, **FILES}[name].wreck(lineage)
    for english, russian in zip(bad(look(lineage)), bad(look(lineage, language="ru")), strict=True):
        assert (english.code, english.command) == (russian.code, russian.command)
        assert any("а" <= letter <= "я" for letter in russian.text + russian.remedy)
        assert russian.text != english.text


def test_every_cause_has_its_remedy() -> None:
    """Whatever keeps a file from being served, the doctor has a remedy for it."""
    assert set(REMEDIES) == set(CAUSES)
