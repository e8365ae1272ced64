"""The systemd units of deploy/systemd, with the values of this machine in place of `@USER@` and its like."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from app.core.config import Settings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
PAGE = "docs/deploy-systemd.md"
FOLDER = DEPLOY / "systemd"
WRAPPER = DEPLOY / "bin" / "aisha-webhook"
SINGLE = ("aisha-webhook-api.service", "aisha-webhook-api.socket")
REPLICA = ("aisha-webhook-api@.service", "aisha-webhook-api@.socket")
BACKUP = ("aisha-webhook-backup.service", "aisha-webhook-backup.timer")

PLACEHOLDER = re.compile(r"@([A-Z_]+)@")
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))  # what ProtectHome= hides
AWKWARD = re.compile(r"[\s%$\"'\\;]")  # each means something to systemd


@dataclass(frozen=True, slots=True)
class UnitValues:
    """What the units are filled in with: absolute paths, the account that the server runs as, what it writes to.

    `outside` is what it reads beyond `root`, such as the Python that its environment was made from.
    """

    root: Path
    python: Path
    outside: Path
    user: str
    group: str
    address: str
    sqlite: Path | None
    logs: Path
    cache: Path
    certificate: Path

    @classmethod
    def of(
        cls,
        settings: Settings,
        sqlite: Path | None,
        *,
        root: Path,
        python: Path,
        outside: Path,
        user: str,
        group: str,
    ) -> "UnitValues":
        """Take from the settings what the units need to know; `sqlite` is the database's file, None on PostgreSQL.

        Raises ValueError, whose text names what systemd cannot be told.
        """
        try:
            host = ip_address(settings.api_host)
        except ValueError:
            raise ValueError(f"API_HOST={settings.api_host}") from None
        if not settings.api_port:
            raise ValueError("API_PORT=0")
        values = cls(
            root=root,
            python=python,
            outside=outside,
            user=user,
            group=group,
            address=f"{f'[{host}]' if host.version == 6 else host}:{settings.api_port}",  # noqa: PLR2004  IPv6
            sqlite=None if sqlite is None else root / sqlite,
            logs=root / settings.log_dir,
            cache=root / settings.data_dir,
            certificate=root / settings.ssl_cert_path,
        )
        awkward = [str(path) for path in (root, python, *values.writable) if AWKWARD.search(str(path))]
        if awkward:
            raise ValueError(", ".join(awkward))
        return values

    @property
    def writable(self) -> tuple[Path, ...]:
        """The folders that the server writes to; of a certificate elsewhere somebody else takes care."""
        wanted = [] if self.sqlite is None else [self.sqlite.parent]
        wanted += [self.cache, self.logs]
        if self.certificate.is_relative_to(self.root):
            wanted.append(self.certificate.parent)
        return tuple(dict.fromkeys(wanted))

    @property
    def backed_up(self) -> tuple[Path, ...]:
        """The folders that a backup writes to: SQLite wants to write beside a database that it only reads."""
        return tuple(dict.fromkeys([self.cache] if self.sqlite is None else [self.sqlite.parent, self.cache]))

    def is_at_home(self) -> bool:
        """Tell whether something that the server needs lies where ProtectHome=yes would hide it."""
        needed = (self.root, self.python, self.outside, *self.writable)
        return any(path.is_relative_to(home) for path in needed for home in HOMES)


def render(names: tuple[str, ...], given: UnitValues) -> dict[str, str]:
    """Return the text of each unit by its name, every placeholder filled in. Raises KeyError for an unknown one."""
    values = _values(given)
    return {name: _filled(FOLDER / name, values) for name in names}


def render_wrapper(given: UnitValues) -> str:
    """Return the text of the command that goes to the server's folder and account by itself."""
    return _filled(WRAPPER, _values(given))


def _filled(template: Path, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda found: values[found[1]], template.read_text(encoding="utf-8"))


def _values(given: UnitValues) -> dict[str, str]:
    page = given.root / PAGE
    return {
        "PAGE": f"file:{page}" if page.is_file() else "",  # a wheel brings no pages; empty is none for systemd
        "USER": given.user,
        "GROUP": given.group,
        "FOLDER": str(given.root),
        "PYTHON": str(given.python),
        "ADDRESS": given.address,
        "DATA": str(given.cache),
        "LOGS": str(given.logs),
        "WRITABLE": " ".join(map(str, given.writable)),
        "BACKUP_WRITABLE": " ".join(map(str, given.backed_up)),
        "PROTECT_HOME": "read-only" if given.is_at_home() else "yes",
    }
