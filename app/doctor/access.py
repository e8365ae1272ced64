"""Which files an account, that of the server, may read."""

import stat
from dataclasses import dataclass

from app.files.ownership import ROOT


@dataclass(frozen=True, slots=True)
class Reader:
    """An account: its name and group as `chgrp` takes them, its number, and the numbers of all its groups."""

    name: str
    group: str
    uid: int
    gids: frozenset[int]

    def reads(self, *, mode: int, uid: int, gid: int) -> bool:
        """Whether it reads a file of this mode, owner and group, as the kernel decides; access lists do not count."""
        if self.uid == ROOT:
            return True
        if uid == self.uid:
            return bool(mode & stat.S_IRUSR)
        return bool(mode & (stat.S_IRGRP if gid in self.gids else stat.S_IROTH))

    def would_lose(self, *, before: int, after: int, uid: int, gid: int) -> bool:
        """Whether it reads the file with the mode `before` and does not with `after`."""
        return self.reads(mode=before, uid=uid, gid=gid) and not self.reads(mode=after, uid=uid, gid=gid)
