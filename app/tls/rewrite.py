"""Replacing a file in one step, the previous content kept beside it."""

import os
import time
from itertools import count
from pathlib import Path


def rewrite(path: Path, content: bytes) -> Path:
    """Put `content` in place of what `path` (or what it links to) holds; return the copy of the previous content.

    Owner and mode stay, in the copy too: a key's copy is as closed as the key. The copy is named after the time its
    content was written, `<file>.<UTC>.bak`; a reader or a crash never meets half a file. Raises OSError naming
    `path`, and then `path` holds what it held.
    """
    try:
        target = path.resolve(strict=True)
        status = target.stat()
        previous = target.read_bytes()
        backup = _backup_of(target, previous, status)
        _write(target, content, status)
    except OSError as error:  # which scratch file it was helps nobody
        raise OSError(error.errno, error.strerror, str(path)) from error
    return backup


def _backup_of(target: Path, previous: bytes, status: os.stat_result) -> Path:
    written = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(status.st_mtime))
    names = (f"{target.name}.{written}{f'-{number}' if number else ''}.bak" for number in count())
    for backup in map(target.with_name, names):
        if not backup.exists():
            _write(backup, previous, status)
            return backup
        if backup.read_bytes() == previous:
            return backup
    raise AssertionError  # pragma: no cover  the names never end


def _write(path: Path, content: bytes, status: os.stat_result) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, status.st_mode & 0o7777)
            os.fsync(descriptor)
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Make the new name outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
