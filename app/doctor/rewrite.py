"""Replacing a file in one step, the previous content kept beside it."""

import os
import stat
import time
from itertools import count
from pathlib import Path

from app.files.atomic_write import put


def rewrite(path: Path, content: bytes) -> Path:
    """Put `content` in place of what `path` (or what it links to) holds; return the copy of the previous content.

    Owner and mode stay, in the copy too: the copy of a key is as private as the key. It is named after the time its
    content was written, `<file>.<UTC>.bak`; neither a reader nor a crash leaves half a file. Raises OSError naming
    `path`, and then `path` holds what it held.
    """
    try:
        target = path.resolve(strict=True)
        status = target.stat()
        previous = target.read_bytes()
        backup = _backup_of(target, previous, status)
        _put(target, content, status)
    except OSError as error:  # name the target, not the temporary file
        raise OSError(error.errno, error.strerror, str(path)) from error
    return backup


def _backup_of(target: Path, previous: bytes, status: os.stat_result) -> Path:
    written = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(status.st_mtime))
    names = (f"{target.name}.{written}{f'-{number}' if number else ''}.bak" for number in count())
    for backup in map(target.with_name, names):
        if not backup.exists():
            _put(backup, previous, status)
            return backup
        if backup.read_bytes() == previous:
            return backup
    raise AssertionError  # pragma: no cover  count() is endless


def _put(path: Path, content: bytes, status: os.stat_result) -> None:
    put(path, content, mode=stat.S_IMODE(status.st_mode), owner=(status.st_uid, status.st_gid))
