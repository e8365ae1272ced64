"""The account that the server runs under, read from its systemd unit."""

import grp
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from app.doctor.access import Reader
from app.files.ownership import ROOT

FOLDER = Path("/etc/systemd/system")
UNITS = ("aisha-webhook-api.service", "aisha-webhook-api@.service")


def reader_of(folder: Path = FOLDER) -> Reader | None:
    """Return the account of the server's unit in `folder`, changes of `systemctl edit` included.

    None without a unit, or where its account is unknown to this machine. Raises nothing.
    """
    unit = next((folder / name for name in UNITS if (folder / name).is_file()), None)
    if unit is None:
        return None
    said: dict[str, str] = {}
    try:
        for file in (unit, *sorted(unit.with_name(f"{unit.name}.d").glob("*.conf"))):
            said.update(_service(file.read_text(errors="replace")))
        return _account(said.get("User", ""), said.get("Group", ""))
    except (OSError, KeyError, ValueError, OverflowError):
        return None


def _service(text: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and line[0] not in "#;":
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()


def _account(user: str, group: str) -> Reader:
    """Look the account up; a name or a number, as systemd accepts, and root without User=. Raises KeyError."""
    entry = pwd.getpwuid(int(user or ROOT)) if user.isdecimal() or not user else pwd.getpwnam(user)
    if group:
        its_group = grp.getgrgid(int(group)) if group.isdecimal() else grp.getgrnam(group)
    else:
        its_group = grp.getgrgid(entry.pw_gid)
    gids = os.getgrouplist(entry.pw_name, its_group.gr_gid)
    return Reader(entry.pw_name, its_group.gr_name, entry.pw_uid, frozenset(gids))
