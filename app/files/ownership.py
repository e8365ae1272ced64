"""The owner of a file that is closed to this process: what to do differs between root's files and another account's.

Whoever runs the doctor need not be the account that the server runs under, so what belongs to a third account is never
taken from it.
"""

import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Protocol, TypeVar

ROOT = 0

P = TypeVar("P", bound=PurePath)


class Entry(Protocol):
    """What `pwd.getpwuid` tells of an account."""

    @property
    def pw_name(self) -> str:
        """The account's name."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """The owner of a path, the account of this process (`us`), and the account to give root's files to (`heir`).

    `heir` owns the nearest folder above that is not root's; without one it is `us`. All are as `chown` takes them: a
    name, or the number where there is no name.
    """

    owner: str
    us: str
    heir: str
    is_ours: bool
    is_roots: bool

    @classmethod
    def of(cls, path: P, us: int, uid_of: Callable[[P], int], entry_of: Callable[[int], Entry]) -> "Ownership":
        """Find out whose the absolute `path` is, or the nearest folder above it that can be seen.

        `uid_of` raises OSError for what cannot be seen, `entry_of` KeyError for a number without a name.
        """
        uids = []
        for place in (path, *path.parents):
            try:
                uids.append(uid_of(place))
            except OSError:
                continue
        owner = uids[0] if uids else us
        heir = next((uid for uid in uids[1:] if uid != ROOT), us)
        return cls(
            owner=_name(owner, entry_of),
            us=_name(us, entry_of),
            heir=_name(heir, entry_of),
            is_ours=owner == us,
            is_roots=owner == ROOT,
        )

    @property
    def is_foreign(self) -> bool:
        """Whether the owner is neither this process's account nor root."""
        return not self.is_ours and not self.is_roots

    @property
    def sudo_name(self) -> str:
        """The owner as `sudo -u` wants it: a number behind `#`."""
        return f"#{self.owner}" if self.owner.isdecimal() else self.owner


def _name(uid: int, entry_of: Callable[[int], Entry]) -> str:
    try:
        return entry_of(uid).pw_name
    except KeyError:
        return str(uid)


def ownership_of(path: Path) -> Ownership:
    """Return whose `path` is, as this machine's accounts have it. Raises nothing."""
    return Ownership.of(path.absolute(), os.geteuid(), lambda place: place.stat().st_uid, pwd.getpwuid)
