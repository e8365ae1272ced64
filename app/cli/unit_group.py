"""The Unix group under which systemd runs the server. It needs to read `.env`, whichever account wrote the file."""

import grp
import os
import re
from pathlib import Path

from app.cli.units import REPLICA, SINGLE

SYSTEM = Path("/etc/systemd/system")
_GROUP = re.compile(r"^Group=(\S+)$", re.MULTILINE)


def installed_unit() -> Path | None:
    """Return the unit that starts with the machine, else any of ours; None where `install systemd` has not run."""
    there = [SYSTEM / name for name in (SINGLE[0], REPLICA[0]) if (SYSTEM / name).exists()]
    started = {link.resolve().name for link in (SYSTEM / "multi-user.target.wants").glob("aisha-webhook-api*")}
    return next((unit for unit in there if unit.name in started), there[0] if there else None)


def unit_group() -> grp.struct_group | None:
    """Return the group of the installed unit; None without a unit, or where its account is not made yet."""
    unit = installed_unit()
    try:
        found = _GROUP.search(unit.read_text(encoding="utf-8")) if unit else None
        return grp.getgrnam(found[1]) if found else None
    except (OSError, KeyError):
        return None


def may_give_to(group: grp.struct_group) -> bool:
    """Tell whether this account may give a file of its own to the group."""
    return os.geteuid() == 0 or group.gr_gid in os.getgroups()


def restart() -> str | None:
    """Name the command that has the server read `.env` again; None where systemd does not run it."""
    unit = installed_unit()
    if unit is None:
        return None
    name = unit.name.removesuffix(".service")
    return f"sudo systemctl restart '{name}*'" if name.endswith("@") else f"sudo systemctl restart {name}"
