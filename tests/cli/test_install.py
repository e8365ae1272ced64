"""Whether the server's account gets to the project, whoever owns the folders on the way."""

import errno
import os
import pwd
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from app.cli import install
from app.cli.main import app

UID, GID, OTHER, NAMELESS = 999, 998, 1000, 54321


def folder(mode: int, uid: int, gid: int) -> os.stat_result:
    return os.stat_result((0o040000 | mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "may_pass"),
    [
        pytest.param(0o700, UID, OTHER, True, id="its own"),
        pytest.param(0o077, UID, GID, False, id="its own, closed to itself"),
        pytest.param(0o750, NAMELESS, GID, True, id="its group's"),
        pytest.param(0o701, OTHER, GID, False, id="its group's, closed to the group"),
        pytest.param(0o711, NAMELESS, NAMELESS, True, id="everybody's"),
        pytest.param(0o750, NAMELESS, NAMELESS, False, id="of a number without a name"),
    ],
)
def test_a_folder_is_passed_as_the_kernel_judges(
    mode: int, uid: int, gid: int, may_pass: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner's right counts for the owner, else the group's for its members, else everybody's."""
    monkeypatch.setattr(pwd, "getpwnam", lambda _: SimpleNamespace(pw_uid=UID, pw_gid=GID))
    monkeypatch.setattr(os, "getgrouplist", lambda *_: [GID])
    assert install._may_pass(folder(mode, uid, gid), "aisha") is may_pass


@pytest.mark.parametrize(
    ("mode", "uid", "may_read"),
    [
        (0o600, NAMELESS, False),
        (0o700, NAMELESS, False),
        (0o644, NAMELESS, True),
        (0o611, NAMELESS, False),
        (0o400, UID, True),
    ],
)
def test_a_file_is_read_as_the_kernel_judges(
    mode: int, uid: int, may_read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made under umask 077 is closed to the service's account; its own it reads."""
    monkeypatch.setattr(pwd, "getpwnam", lambda _: SimpleNamespace(pw_uid=UID, pw_gid=GID))
    monkeypatch.setattr(os, "getgrouplist", lambda *_: [GID])
    assert install._may_read(folder(mode, uid, NAMELESS), "aisha") is may_read


def test_an_environment_made_under_a_strict_umask_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units for a project that the account cannot read are written, and the command that lets it in stands beside."""
    monkeypatch.setattr(install, "_unread", lambda *_: [project / "app" / "main.py"])
    told = call("--into", str(project / "units")).output
    assert f"cannot read {project}/app/main.py" in told
    assert "sudo chmod -R go+rX" in told


@pytest.mark.parametrize(("mode", "may_pass"), [(0o701, True), (0o770, False)])
def test_an_account_to_come_owns_nothing(mode: int, may_pass: bool) -> None:
    """An account that is not there yet passes where everybody does."""
    assert install._may_pass(folder(mode, UID, GID), "aisha-nobody-has") is may_pass


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEFAULT_LANGUAGE", "en")
    return tmp_path


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["install", "systemd", *words])


def test_a_disk_that_refuses_is_told_without_sudo(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where root could not write either, the reason is given instead of a command that would not help."""

    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    result = call("--into", str(project / "units"))
    assert result.exit_code == 1
    assert "cannot be written (Read-only file system)" in result.output
    assert "sudo" not in result.output


def test_ports_that_nginx_does_not_know_are_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond two replicas the lines for nginx's upstream are printed; for two there is nothing to add."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1/aisha")
    shown = call("--into", str(project / "units"), "--replicas", "4").output
    lines = [line.strip() for line in shown.splitlines() if line.strip().startswith("server ")]
    assert lines == [
        "server 127.0.0.1:8446 max_fails=3 fail_timeout=5s;",
        "server 127.0.0.1:8447 max_fails=3 fail_timeout=5s;",
        "server 127.0.0.1:8446 backup max_fails=0;",
        "server 127.0.0.1:8447 backup max_fails=0;",
    ]
    assert "server 127" not in call("--into", str(project / "units"), "--replicas", "2").output


def test_the_single_unit_makes_room_for_replicas(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replicas beside the single server would be two installations: where its unit is there, it is switched off."""
    into, turning_off = project / "units", "sudo systemctl disable --now aisha-webhook-api.socket"
    monkeypatch.setattr(install, "SYSTEM", into)
    monkeypatch.setattr(install, "WRAPPER", project / "bin" / "aisha-webhook")
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1/aisha")
    assert turning_off not in call("--into", str(into), "--replicas", "2").output
    assert call("--into", str(into)).exit_code == 0
    commands = call("--into", str(into), "--replicas", "2").output
    assert commands.index(turning_off) < commands.index("sudo systemctl enable --now")


@pytest.mark.parametrize("words", [["cert", "install-hook"], ["install", "systemd", "--user", "bob"]])
def test_the_command_with_sudo_keeps_its_arguments(
    words: list[str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may not write there reads the very same command, to be run as root."""

    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    words = [*words, "--into", str(project / "away" / "there")]
    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(sys, "argv", ["aisha-webhook", *words])
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert f"sudo {sys.executable} -m app.cli {' '.join(words)}\n" in result.output
