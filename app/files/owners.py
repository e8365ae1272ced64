"""Whose a file of this machine is."""

import os
import pwd
from pathlib import Path

from app.domain.ownership import Ownership


def ownership_of(path: Path) -> Ownership:
    """Return whose `path` is, as this machine's accounts have it. Raises nothing."""
    return Ownership.of(path.absolute(), os.geteuid(), lambda place: place.stat().st_uid, pwd.getpwuid)
