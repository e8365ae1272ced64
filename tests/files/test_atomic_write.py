"""Putting a file in place."""

import errno
import os
import stat
from pathlib import Path

import pytest

from app.files.atomic_write import put


def test_what_stood_there_gives_way(tmp_path: Path) -> None:
    """The new content is there with the mode asked for, and nothing else is left in the folder."""
    path = tmp_path / "key.pem"
    path.write_bytes(b"old")
    path.chmod(0o644)
    put(path, b"new", mode=0o640)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["key.pem"]


def test_a_secret_is_closed_unless_told_otherwise(tmp_path: Path) -> None:
    """Without a mode nobody but the owner may read the file, whatever the umask."""
    before = os.umask(0)
    try:
        put(tmp_path / "key.pem", b"secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """What a link leads to is another file and stays as it was."""
    (tmp_path / "other").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to("other")
    put(tmp_path / "link", b"ours")
    assert (tmp_path / "other").read_bytes() == b"theirs"
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("fails", ["fsync", "fchmod", "fchown"])
def test_a_failure_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """An OSError half-way leaves the former content, and no scratch file."""
    (tmp_path / "file").write_bytes(b"old")

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, fails, full)
        with pytest.raises(OSError, match="No space left"):
            put(tmp_path / "file", b"new", owner=(os.geteuid(), os.getegid()))
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("file", b"old")]


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some filesystems know no fsync of a folder: the file is in place all the same."""
    sync = os.fsync

    def files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    put(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_reader_never_meets_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until everything is on the disk the name still leads to the old file."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    seen: list[bytes] = []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        seen.append(path.read_bytes())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    put(path, b"new")
    assert seen == [b"old", b"new"]  # the file before it has its name, the folder after
