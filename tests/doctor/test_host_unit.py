"""The account that the server runs under, from its unit; and what an account reads."""

import grp
import os
import pwd
from pathlib import Path

import pytest

from app.doctor.access import Reader
from app.doctor.host.unit import reader_of

UNIT = "aisha-webhook-api.service"
NOBODY = pwd.getpwnam("nobody")
ITS_GROUP = grp.getgrgid(NOBODY.pw_gid)


def test_a_machine_without_the_unit_knows_no_account(tmp_path: Path) -> None:
    """Where no unit is installed nobody is taken for the server."""
    assert reader_of(tmp_path) is None
    assert reader_of(tmp_path / "nothing") is None


@pytest.mark.parametrize(
    ("text", "name", "group"),
    [
        pytest.param("[Service]\nUser=nobody\n", "nobody", ITS_GROUP.gr_name, id="user alone"),
        pytest.param("[Service]\nUser=nobody\nGroup=root\n", "nobody", "root", id="user and group"),
        pytest.param(f"[Service]\n User = {NOBODY.pw_uid}\n", "nobody", ITS_GROUP.gr_name, id="number and blanks"),
        pytest.param("[Service]\nUser=root\nUser=nobody\n", "nobody", ITS_GROUP.gr_name, id="the last one counts"),
        pytest.param("[Unit]\nUser=nobody\n[Service]\n#User=nobody\n", "root", "root", id="nothing said"),
    ],
)
def test_the_unit_tells_the_account(tmp_path: Path, text: str, name: str, group: str) -> None:
    """User= and Group= of the section Service count, in each of systemd's spellings."""
    (tmp_path / UNIT).write_text(text)
    reader = reader_of(tmp_path)
    assert reader is not None
    assert (reader.name, reader.group) == (name, group)
    assert grp.getgrnam(group).gr_gid in reader.gids


def test_the_operator_s_own_changes_win(tmp_path: Path) -> None:
    """What `systemctl edit` wrote beside the unit counts more than the unit."""
    (tmp_path / UNIT).write_text("[Service]\nUser=root\n")
    (tmp_path / f"{UNIT}.d").mkdir()
    (tmp_path / f"{UNIT}.d" / "override.conf").write_text("[Service]\nUser=nobody\n")
    reader = reader_of(tmp_path)
    assert reader is not None
    assert reader.uid == NOBODY.pw_uid


def test_the_unit_of_replicas_counts_too(tmp_path: Path) -> None:
    """Where only replicas are installed their common unit tells the account."""
    (tmp_path / "aisha-webhook-api@.service").write_text("[Service]\nUser=nobody\n")
    assert reader_of(tmp_path) is not None


@pytest.mark.parametrize("user", ["no-such-account", "4294000000", "%i"])
def test_an_account_that_this_machine_does_not_know_is_nobody_s(tmp_path: Path, user: str) -> None:
    """An account of another machine, or one that systemd fills in later, is no guess of ours."""
    (tmp_path / UNIT).write_text(f"[Service]\nUser={user}\n")
    assert reader_of(tmp_path) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_unit_that_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    """A closed unit is as good as none."""
    (tmp_path / UNIT).write_text("[Service]\nUser=nobody\n")
    (tmp_path / UNIT).chmod(0)
    assert reader_of(tmp_path) is None


SERVER = Reader("aisha", "aisha", uid=4242, gids=frozenset({4243, 4244}))


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "reads"),
    [
        (0o600, 4242, 1, True),
        (0o044, 4242, 4243, False),
        (0o640, 1, 4244, True),
        (0o604, 1, 4243, False),
        (0o604, 1, 1, True),
        (0o640, 1, 1, False),
    ],
)
def test_an_account_reads_as_the_kernel_lets_it(*, mode: int, uid: int, gid: int, reads: bool) -> None:
    """The owner's bits count for the owner, the group's for its members, the others' for nobody of these."""
    assert SERVER.reads(mode=mode, uid=uid, gid=gid) is reads


def test_root_reads_everything() -> None:
    """A server that runs as root loses nothing by any mode."""
    root = Reader("root", "root", uid=0, gids=frozenset({0}))
    assert not root.would_lose(before=0o644, after=0, uid=1, gid=1)
