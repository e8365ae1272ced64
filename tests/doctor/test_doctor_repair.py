"""Repairs: what is written would be served, what was there is kept, what is not ours is left alone."""

import errno
import os
import shutil
import stat
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.doctor.access import Reader
from app.doctor.finding import Level
from app.doctor.tls import repair
from app.doctor.tls.examination import Examined, examine_files
from app.doctor.tls.repair import RepairRefused, fix_chain, fixes, needs_issuers
from app.domain.errors import CertificateBroken
from app.tls.chain import put_together
from app.tls.pair_files import PairPaths, read_content
from tests.authorities import DOMAIN, NOW, Lineage, issue

ADDRESS = "http://127.0.0.1/issuer.der"
WRITTEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(name="lineage")
def _lineage(tmp_path: Path) -> Lineage:
    """A leaf whose intermediate lies nowhere but at its address."""
    lineage = Lineage(tmp_path, address=ADDRESS)
    lineage.paths.ca_bundle.unlink()
    return lineage


def look(lineage: Lineage) -> Examined:
    return examine_files(lineage.paths, [DOMAIN], NOW, "en", lineage.roots)


def levels(seen: Examined) -> set[Level]:
    return {finding.level for finding in seen.findings}


def test_a_missing_intermediate_is_written_below_the_leaf(lineage: Lineage) -> None:
    """The certificate's file becomes leaf and intermediate without the root, and the doctor is content (fault 39)."""
    fix_chain(lineage.paths, [lineage.middle.certificate, lineage.root.certificate])
    assert lineage.paths.cert.read_bytes() == lineage.leaf.pem + lineage.middle.pem
    assert levels(look(lineage)) == {Level.OK}


def test_the_previous_file_is_kept_beside(lineage: Lineage) -> None:
    """The backup bears the time its content was written, the content itself, and the file's mode; so does the file."""
    lineage.paths.cert.chmod(0o640)
    os.utime(lineage.paths.cert, (WRITTEN.timestamp(), WRITTEN.timestamp()))
    backup = fix_chain(lineage.paths, [lineage.middle.certificate])
    assert backup == lineage.paths.cert.with_name("a.crt.20260102T030405Z.bak")
    assert backup is not None
    assert backup.read_bytes() == lineage.leaf.pem
    assert [stat.S_IMODE(path.stat().st_mode) for path in (backup, lineage.paths.cert)] == [0o640, 0o640]


def test_a_second_repair_changes_nothing(lineage: Lineage) -> None:
    """What is in order is not written again, and leaves no second backup."""
    fix_chain(lineage.paths, [lineage.middle.certificate])
    before = {path: path.stat().st_mtime_ns for path in lineage.paths.cert.parent.iterdir()}
    assert fix_chain(lineage.paths, [lineage.middle.certificate]) is None
    assert fixes(lineage.paths, look(lineage), [], "en") == []
    assert {path: path.stat().st_mtime_ns for path in lineage.paths.cert.parent.iterdir()} == before


def test_backups_of_one_second_do_not_overwrite_one_another(lineage: Lineage) -> None:
    """Another backup of the same second takes another name."""
    os.utime(lineage.paths.cert, (WRITTEN.timestamp(), WRITTEN.timestamp()))
    lineage.paths.cert.with_name("a.crt.20260102T030405Z.bak").write_bytes(b"another")
    backup = fix_chain(lineage.paths, [lineage.middle.certificate])
    assert backup == lineage.paths.cert.with_name("a.crt.20260102T030405Z-1.bak")
    assert lineage.paths.cert.with_name("a.crt.20260102T030405Z.bak").read_bytes() == b"another"


def test_the_bundles_intermediates_move_into_the_certificates_file(lineage: Lineage) -> None:
    """nginx reads one file only: what the bundle holds is written into the certificate's file."""
    lineage.paths.ca_bundle.write_bytes(lineage.middle.pem)
    fix_chain(lineage.paths, [])
    assert lineage.paths.cert.read_bytes() == lineage.leaf.pem + lineage.middle.pem


def test_a_linked_file_is_written_where_it_lies(lineage: Lineage, tmp_path: Path) -> None:
    """A link stays a link: the file behind it is replaced."""
    link = tmp_path / "link.crt"
    link.symlink_to(lineage.paths.cert)
    fix_chain(PairPaths(link, lineage.paths.key, lineage.paths.ca_bundle), [lineage.middle.certificate])
    assert link.is_symlink()
    assert lineage.paths.cert.read_bytes() == lineage.leaf.pem + lineage.middle.pem


def test_an_issuer_that_did_not_sign_is_not_written(lineage: Lineage) -> None:
    """A namesake of the intermediate is refused, and nothing changes."""
    with pytest.raises(RepairRefused) as caught:
        fix_chain(lineage.paths, [issue("Test Intermediate").certificate])
    assert caught.value.finding.code == "repair.no_issuer"
    assert lineage.paths.cert.read_bytes() == lineage.leaf.pem
    assert len(list(lineage.paths.cert.parent.iterdir())) == 2


def test_a_pair_that_does_not_match_is_not_touched(lineage: Lineage) -> None:
    """With the key of another certificate nothing is written (fault 40)."""
    lineage.paths.key.write_bytes(issue("x", names=["x"]).key_pem)
    with pytest.raises(CertificateBroken):
        fix_chain(lineage.paths, [lineage.middle.certificate])
    assert lineage.paths.cert.read_bytes() == lineage.leaf.pem


def test_certbots_files_are_not_rewritten(tmp_path: Path) -> None:
    """A file in a lineage of certbot's is left alone, and the finding names certbot's own command."""
    home = tmp_path / "letsencrypt"
    for folder in ("live/aibots", "renewal"):
        (home / folder).mkdir(parents=True)
    (home / "renewal" / "aibots.conf").touch()
    lineage = Lineage(home / "live" / "aibots", address=ADDRESS)
    lineage.paths.ca_bundle.unlink()
    (finding,) = fixes(lineage.paths, look(lineage), [lineage.middle.certificate], "en")
    assert (finding.code, finding.level) == ("repair.renewal_owned", Level.FAIL)
    assert finding.command == "sudo certbot renew --force-renewal --cert-name aibots"
    assert lineage.paths.cert.read_bytes() == lineage.leaf.pem


def test_an_intermediate_that_could_not_be_fetched_is_told(lineage: Lineage) -> None:
    """Without the intermediate nothing is written, and the command shows how to fetch it by hand."""
    (finding,) = fixes(lineage.paths, look(lineage), [], "en")
    assert (finding.code, finding.level) == ("repair.not_fetched", Level.FAIL)
    assert finding.command.startswith(f"curl -fsS {ADDRESS} ")
    assert lineage.paths.cert.read_bytes() == lineage.leaf.pem


def test_a_root_that_nobody_trusts_is_told(lineage: Lineage) -> None:
    """Where the chain is complete and its root is not this system's, that is said, and nothing is written again."""
    private = issue("Private Intermediate", lineage.root, address=ADDRESS)
    lineage.leaf = issue(DOMAIN, private, names=[DOMAIN], address=ADDRESS)
    lineage.paths.key.write_bytes(lineage.leaf.key_pem)
    lineage.paths.cert.write_bytes(lineage.leaf.pem + private.pem)
    seen = examine_files(lineage.paths, [DOMAIN], NOW, "en", [issue("Another Root").certificate])
    (finding,) = fixes(lineage.paths, seen, [lineage.root.certificate], "en")
    assert (finding.code, finding.level) == ("repair.root_untrusted", Level.FAIL)
    assert lineage.paths.cert.read_bytes() == lineage.leaf.pem + private.pem


def test_everything_safe_is_mended_at_once(lineage: Lineage) -> None:
    """An open key, Windows text in all files and a missing intermediate are mended in one go, keys' copies closed."""
    for path in (lineage.paths.cert, lineage.paths.key):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    lineage.paths.key.chmod(0o644)
    done = fixes(lineage.paths, look(lineage), [lineage.middle.certificate], "en")
    assert [finding.code for finding in done] == ["repair.key_mode", "repair.chain", "repair.text"]
    assert levels(look(lineage)) == {Level.OK}
    assert stat.S_IMODE(lineage.paths.key.stat().st_mode) == 0o640
    (backup,) = lineage.paths.key.parent.glob("a.key.*.bak")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o640


def test_wrong_order_is_put_right(lineage: Lineage) -> None:
    """Order, duplicates, strangers and the root are mended from the files alone."""
    stranger = issue("Stranger", lineage.root)
    lineage.paths.cert.write_bytes(
        lineage.middle.pem + lineage.leaf.pem + lineage.middle.pem + lineage.root.pem + stranger.pem
    )
    (finding,) = fixes(lineage.paths, look(lineage), [], "en")
    assert finding.code == "repair.chain"
    assert lineage.paths.cert.read_bytes() == lineage.leaf.pem + lineage.middle.pem


def test_a_full_disk_changes_nothing(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk refuses the new file the old one stays, nothing half-written is left, and that is told."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    seen = look(lineage)
    before = {path.name: path.read_bytes() for path in lineage.paths.cert.parent.iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr("app.files.atomic_write.os.fsync", full)
        (finding,) = fixes(lineage.paths, seen, [lineage.middle.certificate], "en")
    assert (finding.code, finding.level) == ("repair.unwritable", Level.FAIL)
    assert finding.text == f"{lineage.paths.cert} cannot be written (No space left on device)"
    assert {path.name: path.read_bytes() for path in lineage.paths.cert.parent.iterdir()} == before


def test_files_exchanged_meanwhile_are_not_touched(lineage: Lineage) -> None:
    """Where the key no longer belongs to the certificate at the moment of the repair, that is told (fault 40)."""
    seen = look(lineage)
    lineage.paths.key.write_bytes(issue("x", names=["x"]).key_pem)
    (finding,) = fixes(lineage.paths, seen, [lineage.middle.certificate], "en")
    assert (finding.code, finding.level) == ("files.mismatch", Level.FAIL)
    assert lineage.paths.cert.read_bytes() == lineage.leaf.pem


def combined(lineage: Lineage, *, one_file: bool) -> PairPaths:
    """The leaf above its intermediate, out of order, with the key in the same file; `one_file` names it twice."""
    lineage.paths.cert.write_bytes(lineage.leaf.key_pem + lineage.middle.pem + lineage.leaf.pem)
    lineage.paths.cert.chmod(0o600)
    return replace(lineage.paths, key=lineage.paths.cert) if one_file else lineage.paths


@pytest.mark.parametrize("one_file", [True, False])
def test_a_file_with_the_key_inside_is_not_rewritten(lineage: Lineage, *, one_file: bool) -> None:
    """Rewritten, a combined file would lose its key: it is left as it is, and nothing is called fixable (fault 40)."""
    paths = combined(lineage, one_file=one_file)
    before = paths.cert.read_bytes()
    seen = examine_files(paths, [DOMAIN], NOW, "en", lineage.roots)
    (order,) = [finding for finding in seen.findings if finding.code == "chain.order"]
    assert not order.fixable
    (refused,) = fixes(paths, seen, [], "en")
    assert (refused.code, refused.level) == ("repair.more_inside", Level.FAIL)
    assert "PRIVATE KEY" in refused.text
    assert order.command == refused.command
    assert paths.cert.read_bytes() == before
    with pytest.raises(RepairRefused):
        fix_chain(paths, [lineage.middle.certificate])


def test_nothing_is_fetched_for_a_file_with_the_key_inside(lineage: Lineage) -> None:
    """What could not be written need not be fetched (fault 40)."""
    lineage.paths.cert.write_bytes(lineage.leaf.key_pem + lineage.leaf.pem)
    assert not needs_issuers(look(lineage))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is what the command runs")
def test_the_command_takes_a_combined_file_apart(lineage: Lineage) -> None:
    """What the refusal says to run makes a pair that the server takes, its key closed to others (fault 40)."""
    paths = combined(lineage, one_file=True)
    with pytest.raises(RepairRefused) as caught:
        fix_chain(paths, [])
    subprocess.run(["sh", "-c", caught.value.finding.command], check=True, capture_output=True)
    cert, key = (paths.cert.with_name(f"a.crt.{kind}") for kind in ("certificates", "key"))
    apart = PairPaths(cert, key, paths.ca_bundle)
    assert stat.S_IMODE(key.stat().st_mode) & 0o077 == 0
    fix_chain(apart, [])
    pair = put_together(read_content(apart, "en"), apart, "en")
    assert pair.chain == (lineage.leaf.certificate, lineage.middle.certificate)


SERVER = Reader("aisha", "aisha", uid=4242, gids=frozenset({4243}))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize(
    ("owner", "group", "after", "code"),
    [
        pytest.param(4300, 4300, 0o644, "repair.key_of_server", id="read as one of the others"),
        pytest.param(4300, 4243, 0o640, "repair.key_mode", id="read through its group"),
        pytest.param(4242, 4300, 0o640, "repair.key_mode", id="read as its owner"),
    ],
)
def test_a_key_that_the_unit_s_account_reads_is_not_locked(
    lineage: Lineage, *, owner: int, group: int, after: int, code: str
) -> None:
    """Where the unit names the server's account, the key stays open to it, whoever owns the folder (fault 40)."""
    for path in (lineage.paths.key.parent, lineage.paths.key):
        os.chown(path, owner, group)
    lineage.paths.key.chmod(0o644)
    found = fixes(lineage.paths, look(lineage), [lineage.middle.certificate], "en", SERVER)[0]
    assert (found.code, stat.S_IMODE(lineage.paths.key.stat().st_mode)) == (code, after)
    if code == "repair.key_of_server":
        key = lineage.paths.key
        assert found.command == f"sudo chgrp aisha {key} && sudo chmod g=r,o= {key}"


def test_a_file_that_cannot_be_written_names_a_command_that_sudo_finds(
    lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sudo's own path has no environment of ours in it: the owner's script is named, which finds it."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    seen = look(lineage)
    monkeypatch.setattr("app.doctor.tls.repair.rewrite", refuse)
    (finding,) = fixes(lineage.paths, seen, [lineage.middle.certificate], "en")
    assert (finding.code, finding.command) == ("repair.unwritable", "sudo ./fix_ssl_certificate.sh")
    assert (Path(__file__).parents[2] / "fix_ssl_certificate.sh").is_file()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_stays(lineage: Lineage) -> None:
    """Run as root, a repair leaves file and backup to whom the file belonged."""
    os.chown(lineage.paths.cert, 12345, 23456)
    backup = fix_chain(lineage.paths, [lineage.middle.certificate])
    assert backup is not None
    assert {(path.stat().st_uid, path.stat().st_gid) for path in (backup, lineage.paths.cert)} == {(12345, 23456)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_key_read_through_its_group_stays_readable(lineage: Lineage) -> None:
    """A key of root's with a group of its own is closed to all but that group: the server reads it through it."""
    os.chown(lineage.paths.key, 0, 23456)
    lineage.paths.key.chmod(0o644)
    fixes(lineage.paths, look(lineage), [lineage.middle.certificate], "en")
    assert stat.S_IMODE(lineage.paths.key.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_told(lineage: Lineage) -> None:
    """Without the right to write nothing changes, and the finding names the file."""
    lineage.paths.cert.parent.chmod(0o500)
    try:
        (finding,) = fixes(lineage.paths, look(lineage), [lineage.middle.certificate], "en")
    finally:
        lineage.paths.cert.parent.chmod(0o700)
    assert finding.code == "repair.unwritable"
    assert lineage.paths.cert.read_bytes() == lineage.leaf.pem


def test_a_pair_that_cannot_be_served_is_left_alone(lineage: Lineage) -> None:
    """Where the files make no pair there is nothing safe to do (fault 40)."""
    lineage.paths.cert.write_bytes(b"")
    assert fixes(lineage.paths, look(lineage), [], "en") == []


def test_a_pair_that_is_not_there_is_left_alone(lineage: Lineage) -> None:
    """Where there are no files there is nothing to mend, and nothing to complain of (fault 40)."""
    lineage.paths.cert.unlink()
    lineage.paths.key.unlink()
    assert fixes(lineage.paths, look(lineage), [], "en") == []


def test_a_key_beside_a_broken_certificate_keeps_its_mode(lineage: Lineage) -> None:
    """Only what was just read as this certificate's key is touched: SSL_KEY_PATH may name any file."""
    lineage.paths.key.chmod(0o644)
    lineage.paths.cert.write_bytes(b"")
    assert fixes(lineage.paths, look(lineage), [], "en") == []
    assert stat.S_IMODE(lineage.paths.key.stat().st_mode) == 0o644


def test_a_key_that_became_a_link_keeps_its_mode(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that turns into a link between the look and the repair is not followed, and that is told."""
    lineage.paths.key.chmod(0o644)
    seen = look(lineage)
    other = lineage.paths.key.with_name("other")
    lineage.paths.key.rename(other)
    lineage.paths.key.symlink_to(other)
    monkeypatch.setattr(Path, "resolve", lambda path, **_: path)
    codes = [finding.code for finding in fixes(lineage.paths, seen, [lineage.middle.certificate], "en")]
    assert codes[0] == "repair.unwritable"
    assert stat.S_IMODE(other.stat().st_mode) == 0o644


def test_a_linked_key_is_closed_where_it_lies(lineage: Lineage) -> None:
    """An operator's own link leads to the key that is closed."""
    target = lineage.paths.key.with_name("elsewhere.key")
    lineage.paths.key.rename(target)
    lineage.paths.key.symlink_to(target)
    target.chmod(0o664)
    fixes(lineage.paths, look(lineage), [lineage.middle.certificate], "en")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize(
    ("owner", "group", "mode", "after", "code"),
    [
        pytest.param(0, 0, 0o644, 0o644, "repair.key_of_another", id="root's alone"),
        pytest.param(0, 4243, 0o644, 0o640, "repair.key_mode", id="the group's"),
        pytest.param(0, 4243, 0o604, 0o604, "repair.key_of_another", id="a group that may not read"),
        pytest.param(4242, 0, 0o644, 0o640, "repair.key_mode", id="the folder owner's"),
        pytest.param(4244, 4244, 0o644, 0o644, "repair.key_of_another", id="a third account's"),
        pytest.param(4244, 4243, 0o664, 0o640, "repair.key_mode", id="a third account's, with the group"),
    ],
)
def test_the_service_can_still_read_its_key(
    lineage: Lineage, *, owner: int, group: int, mode: int, after: int, code: str
) -> None:
    """In a folder of the service's a key is closed only where the service reads it all the same."""
    os.chown(lineage.paths.key.parent, 4242, 4243)
    os.chown(lineage.paths.key, owner, group)
    lineage.paths.key.chmod(mode)
    found = fixes(lineage.paths, look(lineage), [lineage.middle.certificate], "en")[0]
    assert found.code == code
    assert stat.S_IMODE(lineage.paths.key.stat().st_mode) == after
    if code == "repair.key_of_another":
        assert found.command.startswith(f"sudo chown 4242:4243 {lineage.paths.key} ")


def facts(uid: int, gid: int, mode: int = 0o600) -> os.stat_result:
    return os.stat_result((0o100000 | mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("key", "is_read"),
    [
        pytest.param(facts(4242, 0), True, id="the folder owner's"),
        pytest.param(facts(0, 0, 0o644), False, id="root's alone"),
        pytest.param(facts(0, 4244, 0o640), True, id="root's, given to a group"),
        pytest.param(facts(4244, 4244, 0o640), False, id="a third account's"),
        pytest.param(facts(4244, 4243, 0o640), True, id="a third account's, with the folder's group"),
    ],
)
def test_whoever_owns_the_folder_is_taken_for_the_reader(key: os.stat_result, is_read: bool) -> None:
    """A closed key is read by its owner, and by a group that it was given to."""
    assert repair._stays_readable(key, facts(4242, 4243)) is is_read


def test_a_key_that_would_be_lost_is_left_alone(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server could not read the closed key nothing changes, and the command that helps is given."""
    lineage.paths.key.chmod(0o644)
    monkeypatch.setattr(repair, "_stays_readable", lambda *_: False)
    found = fixes(lineage.paths, look(lineage), [lineage.middle.certificate], "en")[0]
    assert (found.code, found.level) == ("repair.key_of_another", Level.WARN)
    assert stat.S_IMODE(lineage.paths.key.stat().st_mode) == 0o644


def test_a_key_closed_meanwhile_needs_no_repair(lineage: Lineage) -> None:
    """What somebody else has mended since the look is not told as done."""
    lineage.paths.key.chmod(0o644)
    seen = look(lineage)
    lineage.paths.key.chmod(0o600)
    codes = [finding.code for finding in fixes(lineage.paths, seen, [lineage.middle.certificate], "en")]
    assert codes == ["repair.chain"]


def test_an_expired_cross_sign_is_not_written(lineage: Lineage) -> None:
    """Of two ways up fix-chain writes the one that verifies now, however long the other once lived (fault 39)."""
    key = lineage.middle.key
    expired = issue(
        "Test Intermediate", lineage.root, key=key, since=NOW - timedelta(days=900), until=NOW - timedelta(days=1)
    )
    valid = issue("Test Intermediate", lineage.root, key=key, until=NOW + timedelta(days=30))
    lineage.paths.ca_bundle.write_bytes(expired.pem + valid.pem)
    fix_chain(lineage.paths, [], "en", NOW)
    assert lineage.paths.cert.read_bytes() == lineage.leaf.pem + valid.pem
