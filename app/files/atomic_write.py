"""Putting a file in place in one step."""

import errno
import os
import tempfile
from pathlib import Path

# fsync of a folder refused: by the filesystem, or for want of read permission
UNPROMISED = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)


def put(path: Path, content: bytes, *, mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Put `content` at `path` by a rename: a reader, or a crash, finds the whole old file or the whole new one.

    `owner` is (uid, gid), else whoever runs this. On return the file survives a power cut, where the filesystem can
    promise that of a folder. Raises OSError, and then nothing is left beside `path`, which holds what it held, unless
    the disk failed at the very end.
    """
    scratch = _write_beside(path, content, mode, owner)
    try:
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def put_new(path: Path, content: bytes, *, mode: int = 0o600) -> bool:
    """Put `content` at `path` unless something is there; tell whether it was put. Never half a file. Raises OSError."""
    scratch = _write_beside(path, content, mode, None)
    try:
        path.hardlink_to(scratch)
    except FileExistsError:
        return False
    finally:
        scratch.unlink(missing_ok=True)
    _sync(path.parent)
    return True


def _write_beside(path: Path, content: bytes, mode: int, owner: tuple[int, int] | None) -> Path:
    # certbot runs what lies in its folders of hooks, except names that end with ~.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix="~")
    scratch = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if owner is not None:
                os.fchown(descriptor, *owner)  # before the mode: a change of owner takes bits away
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    return scratch


def _sync(folder: Path) -> None:
    """Write the folder to disk, so that the new name survives a power cut."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in UNPROMISED:
            raise
