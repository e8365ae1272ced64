"""Free space of the disks, and whether this process may write there."""

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from app.doctor.finding import AS_ITS_OWNER, ASK_ITS_OWNER, Catalogue, Finding, Level, Wording, finding
from app.domain.language import Language, msgid
from app.files.ownership import ownership_of

MIB = 1 << 20
FULL = 100 * MIB  # below this the next burst of deliveries may not fit
LOW = 1024 * MIB
LOW_SHARE = 0.10

MAKE_ROOM = msgid("Make room; this shows what takes most of it.")
SHOW_LARGEST = "sudo du -xh --max-depth=2 {folder} | sort -h | tail"

WORDS: Catalogue = {
    "disk.ok": Wording(Level.OK, msgid("{folder}: {free} MiB free")),
    "disk.low": Wording(
        Level.WARN,
        msgid("{folder}: {free} MiB free, {percent} % of the disk"),
        MAKE_ROOM,
        SHOW_LARGEST,
    ),
    "disk.full": Wording(
        Level.FAIL,
        msgid("{folder}: {free} MiB free; once it is used up, deliveries meet 503"),
        MAKE_ROOM,
        SHOW_LARGEST,
    ),
    "disk.unwritable": Wording(
        Level.FAIL,
        msgid("{folder}: not writable for us"),
        msgid("Give the folder to the account that the server runs under."),
        "sudo chown -R {account} {folder}",
    ),
    "disk.foreign": Wording(
        Level.WARN,
        msgid(
            "{folder}: belongs to {account} and is closed to us; whether the server may write cannot be told from here"
        ),
        ASK_ITS_OWNER,
        AS_ITS_OWNER,
    ),
}


class Usage(Protocol):
    """What `shutil.disk_usage` tells: bytes."""

    @property
    def total(self) -> int:
        """The size of the disk, bytes."""

    @property
    def free(self) -> int:
        """Free space for this process, bytes."""


def look_at_folders(
    folders: Iterable[Path], language: Language, *, usage: Callable[[Path], Usage] = shutil.disk_usage
) -> list[Finding]:
    """Judge each folder; for one that does not exist yet, the nearest existing folder above it."""
    there = [
        # os.path.exists returns False for a path below a closed folder, where Path.exists raises.
        next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110  as said above
        for folder in map(Path.absolute, folders)
    ]
    return [_judge(folder, language, usage) for folder in dict.fromkeys(there)]


def _judge(there: Path, language: Language, usage: Callable[[Path], Usage]) -> Finding:
    if not os.access(there, os.W_OK | os.X_OK):
        return _closed(there, language)
    room = usage(there)
    share = room.free / max(room.total, 1)
    code = "disk.full" if room.free < FULL else "disk.low" if room.free < LOW or share < LOW_SHARE else "disk.ok"
    return finding(WORDS, code, language, folder=there, free=room.free // MIB, percent=round(share * 100))


def _closed(folder: Path, language: Language) -> Finding:
    whose = ownership_of(folder)
    if whose.is_foreign:
        facts = {"account": whose.owner, "sudo_name": whose.sudo_name, "python": sys.executable}
        return finding(WORDS, "disk.foreign", language, folder=folder, **facts)
    found = finding(WORDS, "disk.unwritable", language, folder=folder, account=whose.heir)
    return replace(found, command=f"chmod u+rwx {shlex.quote(str(folder))}") if whose.is_ours else found
