"""Putting a file in place in one step."""

import errno
import os
import tempfile
from pathlib import Path

UNPROMISED = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)  # folders of such a filesystem, or that we may not read


def put(path: Path, content: bytes, *, mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Put `content` at `path`, whatever stood there: a reader or a crash meets the old file or the new one, whole.

    `owner` is (uid, gid), else whoever runs this. On return the file outlasts a power cut, where the filesystem can
    promise that of a folder. Raises OSError, and then nothing is left beside `path`, which holds what it held, unless
    the disk failed at the very end.
    """
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
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Make the new name outlast a power cut."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in UNPROMISED:
            raise
