"""The `.env` file."""

import grp
import os
import pwd
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.doctor.finding import Level
from app.doctor.host import envfile
from app.doctor.host.envfile import look_at_env_file, mend_env_file
from app.files.ownership import Ownership

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CANARY = "canary-7f3a"


@pytest.fixture
def env(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    path.touch(mode=0o600)
    return path


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("API_PORT=8443", "envfile.ok"),
        ("", "envfile.ok"),
        ("# API_PORT='8443'", "envfile.ok"),
        ("FAL_WEBHOOK_URL=https://x/#part", "envfile.ok"),
        ('API_PORT="8443"', "envfile.quoted"),
        (" API_PORT = '8443' # why", "envfile.quoted"),
        ("API_PORT=8443 # why", "envfile.commented"),
        ("export API_PORT=8443", "envfile.exported"),
        ("API_PORT = 8443", "envfile.spaced"),
        ("  API_PORT\t=8443", "envfile.spaced"),
        ("API_PORT= 8443", "envfile.ok"),
        ("API_PORT=$PORT", "envfile.dollar"),
        ("API_PORT=a$b", "envfile.dollar"),
        ("API_PORT=${PORT}", "envfile.dollar"),
    ],
)
def test_spellings_that_others_read_otherwise_are_told(env: Path, line: str, code: str) -> None:
    """What systemd or docker would read differently from us is named by its line."""
    env.write_text(f"\n{line}\n")
    [found] = look_at_env_file(env, "en")
    assert found.code == code
    assert code == "envfile.ok" or ("2" in found.text and "API_PORT" in found.text)


def test_a_file_for_all_eyes_is_told(env: Path) -> None:
    """A .env that everyone can read is a warning that --fix can take away."""
    env.chmod(0o644)
    [found] = look_at_env_file(env, "en")
    assert (found.code, found.fixable) == ("envfile.world_readable", True)


def test_no_file_is_no_trouble(tmp_path: Path) -> None:
    """Settings may all come from the environment."""
    assert [one.code for one in look_at_env_file(tmp_path / ".env", "en")] == ["envfile.absent"]


def test_a_file_that_is_a_folder_is_told(tmp_path: Path) -> None:
    """What cannot be read is a finding, not a crash."""
    (tmp_path / ".env").mkdir()
    assert [one.code for one in look_at_env_file(tmp_path / ".env", "en")] == ["envfile.unreadable"]


@pytest.mark.parametrize(
    ("whose", "code", "command"),
    [
        pytest.param(
            Ownership("aisha", "operator", "operator", is_ours=False, is_roots=False),
            "envfile.foreign",
            "sudo -u aisha {python} -m app.cli doctor",
            id="the service's",
        ),
        pytest.param(
            Ownership("root", "operator", "aisha", is_ours=False, is_roots=True),
            "envfile.unreadable",
            "sudo chown aisha {file}",
            id="root's",
        ),
    ],
)
def test_a_closed_file_is_never_taken_from_another(
    whose: Ownership, code: str, command: str, env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A .env of another account is asked about as that account; only root's is given away."""

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(envfile, "ownership_of", lambda _: whose)
    [found] = look_at_env_file(env, "en")
    assert (found.code, found.level) == (code, Level.WARN)
    assert found.command == command.format(python=sys.executable, file=env)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_root_s_in_the_service_s_folder_is_not_locked(env: Path) -> None:
    """Closed, it could be read by root alone: --fix leaves it, and the command gives it to the folder's owner."""
    os.chown(env.parent, 4242, 4243)
    env.write_text('A="1"\n')
    env.chmod(0o644)
    found, _ = look_at_env_file(env, "en")
    assert (found.fixable, found.command) == (False, f"sudo chown 4242:4243 {env} && sudo chmod o= {env}")
    assert mend_env_file(env, NOW, "en") == []
    assert env.stat().st_mode & 0o777 == 0o644


def unit(folder: Path, *, of: str) -> Path:
    """A folder of systemd's with the server's unit for the account `of`."""
    folder.mkdir()
    (folder / "aisha-webhook-api.service").write_text(f"[Service]\nUser={of}\n")
    return folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_that_the_unit_s_account_reads_is_not_locked(env: Path, tmp_path: Path) -> None:
    """Where the server reads .env as one of the others, --fix leaves it, and the command lets its group read it."""
    units = unit(tmp_path / "units", of="nobody")
    env.write_text('A="1"\n')
    for path in (env.parent, env):
        os.chown(path, 4242, 4243)
    env.chmod(0o644)
    found, _ = look_at_env_file(env, "en", units)
    group = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
    assert (found.fixable, found.command) == (False, f"sudo chgrp {group} {env} && sudo chmod g+r,o= {env}")
    assert mend_env_file(env, NOW, "en", units) == []
    assert (env.stat().st_mode & 0o777, env.read_text()) == (0o644, 'A="1"\n')


def test_a_file_of_the_unit_s_account_is_closed(env: Path, tmp_path: Path) -> None:
    """A server that owns its .env still reads it once it is closed to others."""
    units = unit(tmp_path / "units", of=str(os.geteuid()))
    env.chmod(0o644)
    assert [one.code for one in mend_env_file(env, NOW, "en", units)] == ["envfile.fixed"]
    assert env.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_mending_in_a_folder_that_gives_its_group_keeps_the_file_s(env: Path) -> None:
    """In a setgid folder neither the file nor its copy comes to the folder's group."""
    env.write_text('A="1"\n')
    os.chown(env.parent, -1, 4243)
    env.parent.chmod(0o2755)
    group = env.stat().st_gid
    mend_env_file(env, NOW, "en")
    assert [path.stat().st_gid for path in sorted(env.parent.iterdir())] == [group, group]


def test_a_file_that_would_be_lost_is_left_alone(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server could not read the closed file nothing is mended, and the look says so."""
    env.write_text('A="1"\n')
    env.chmod(0o644)
    monkeypatch.setattr(envfile, "_locks_out", lambda *_: True)
    assert mend_env_file(env, NOW, "en") == []
    found, _ = look_at_env_file(env, "en")
    assert (found.code, found.fixable) == ("envfile.world_readable", False)
    assert env.read_text() == 'A="1"\n'


def test_no_value_is_ever_shown(env: Path) -> None:
    """Findings and repairs name settings and lines, never values."""
    env.write_text(f"export FAL_KEY='{CANARY}' # {CANARY}\nTELEGRAM_TOKEN={CANARY} # {CANARY}\n")
    env.chmod(0o644)
    found = [*look_at_env_file(env, "en"), *mend_env_file(env, NOW, "en")]
    assert found
    assert CANARY not in repr(found)


def test_mending_takes_quotes_off_and_keeps_the_former_file(env: Path) -> None:
    """Quotes go where every reader then reads the same; others stay, and so does the former file."""
    before = 'A=1\nB="plain" # why\r\nC=\'with space\'\nD="${A}"\n'
    env.write_bytes(before.encode())
    [done] = mend_env_file(env, NOW, "en")
    backup = env.with_name(".env.20261122T120000Z.bak")
    assert env.read_bytes() == b"A=1\nB=plain # why\r\nC='with space'\nD=\"${A}\"\n"
    assert backup.read_bytes() == before.encode()
    assert str(backup) in done.text


def test_mending_closes_the_file_and_its_copy(env: Path) -> None:
    """After mending neither the file nor the copy of the former one is open to others; a group still reads both."""
    env.write_text('A="1"\n')
    env.chmod(0o644)
    mend_env_file(env, NOW, "en")
    assert [path.stat().st_mode & 0o777 for path in sorted(env.parent.iterdir())] == [0o640, 0o640]


def test_mending_twice_does_nothing_more(env: Path) -> None:
    """What is mended is left alone."""
    env.write_text('A="1"\n')
    assert mend_env_file(env, NOW, "en")
    assert mend_env_file(env, NOW, "en") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_mending_as_root_leaves_the_owner_its_file(env: Path) -> None:
    """Started with sudo, neither the file nor its copy becomes root's."""
    env.write_text('A="1"\n')
    os.chown(env, 65534, 65534)
    mend_env_file(env, NOW, "en")
    assert [path.stat().st_uid for path in sorted(env.parent.iterdir())] == [65534, 65534]


def test_a_link_is_left_alone(env: Path, tmp_path: Path) -> None:
    """A .env that is a link belongs to somebody else."""
    env.write_text('A="1"\n')
    link = tmp_path / "link"
    link.symlink_to(env)
    assert mend_env_file(link, NOW, "en") == []
    assert env.read_text() == 'A="1"\n'


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="AB=\"'# \\$\n\tx", max_size=60))
@example('A="x"#x\n')
@example("A='x' # it's\n")
def test_mending_never_changes_a_value(env: Path, text: str) -> None:
    """Whatever stands in the file, python-dotenv reads the same values after mending as before."""
    env.write_text(text)
    before = dotenv_values(env)
    mend_env_file(env, NOW, "en")
    assert dotenv_values(env) == before
