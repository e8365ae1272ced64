"""Put the server under systemd."""

import grp
import os
import pwd
import re
import shlex
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, NoReturn

import typer

from app.catalog import translate_all
from app.cli import units
from app.cli.output import again_as_root
from app.cli.units import UnitValues
from app.core.clock import SystemClock
from app.core.config import Settings
from app.core.exit_codes import Exit
from app.core.setting_loader import ENV_FILE, load_settings
from app.db.url import sqlite_file
from app.domain.language import msgid
from app.files.atomic_write import put
from app.files.command import WRAPPER

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Put the server under a supervisor.")

SYSTEM = Path("/etc/systemd/system")
FIRST_PORT = 8444  # of the replicas
PORTS_IN_NGINX = 2  # from the first on: those that the files in deploy/nginx name
MODE = 0o644
RUNNABLE = 0o755


class Written(NamedTuple):
    """A file to write: its text and its mode."""

    text: str
    mode: int


ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")

WORDS = {
    "written": msgid("written"),
    "same": msgid("unchanged"),
    "replaced": msgid("replaced, the old one lies beside it"),
    "next": msgid("Next:"),
    "differs": msgid(
        "Files differ from what would be written, and were left alone: {names}\n"
        "Changes of your own are better kept apart: systemctl edit NAME\n"
        "To replace them (the old ones are kept): add --force"
    ),
    "denied": msgid("{into}: no permission to write. Run:"),
    "unwritable": msgid("{into}: cannot be written ({reason})"),
    "nginx": msgid("nginx's files name the ports {first}-{last} only; add to upstream:"),
    "sqlite": msgid(
        "Several processes work on PostgreSQL, and this is SQLite. Put DATABASE_URL=postgresql://… into .env"
    ),
    "awkward": msgid(
        "systemd will not understand: {what}. "
        "API_HOST is an address, API_PORT not 0, paths are without spaces and % $ \" ' \\ ;"
    ),
    "account": msgid("--user {user}: the name of an account is lower-case letters, digits, _ and -"),
    "root": msgid("--user root: the server needs no root, port {port} is above 1024. For example: --user aisha"),
    "closed": msgid(
        "{user} cannot enter {folder}: the server will not start. "
        "Move the project or its Python, for example to /opt, or let it in: sudo chmod o+x {folder}"
    ),
    "strict": msgid(
        "{user} cannot read {what}: the server will not start (umask 077?). Let it in: sudo chmod -R go+rX {folders}"
    ),
}


@app.callback()
def install() -> None:
    """Put the server under a supervisor."""


@app.command()
def systemd(
    *,
    into: Annotated[Path, typer.Option("--into", help="Where the units go.")] = SYSTEM,
    user: Annotated[str, typer.Option("--user", help="The account that the server runs as.")] = "aisha",
    replicas: Annotated[int, typer.Option("--replicas", min=1, max=16, help="Processes behind nginx.")] = 1,
    show: Annotated[bool, typer.Option("--print", help="Show the units, write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace units that were changed.")] = False,
) -> None:
    """Write systemd units and the command for the project in this folder, and say what to run next.

    Exit 1 when units there differ or may not be written, 2 for an account that cannot be, 78 when settings do not fit.
    """
    settings = load_settings()
    words = translate_all(WORDS, settings.operator_language)
    if ACCOUNT.fullmatch(user) is None:
        _give_up(words["account"].format(user=user), Exit.USAGE)
    if user == "root":
        _give_up(words["root"].format(port=settings.api_port), Exit.USAGE)
    values = _values(settings, user, words)
    if replicas > 1 and values.sqlite is not None:
        _give_up(words["sqlite"], Exit.CONFIG)
    texts = units.render((*(units.SINGLE if replicas == 1 else units.REPLICA), *units.BACKUP), values)
    wrapper = WRAPPER if into.absolute() == SYSTEM else into / WRAPPER.name
    files = {into / name: Written(text, MODE) for name, text in texts.items()}
    files[wrapper] = Written(units.render_wrapper(values), RUNNABLE)
    if show:
        for path, one in files.items():
            sys.stdout.write(f"# ---- {path.name}\n{one.text}\n")
        return
    _write(files, words, force=force)
    for folder in _closed(values):
        sys.stderr.write(f"{words['closed'].format(user=user, folder=folder)}\n")
    environment = values.python.parents[1]
    if unread := _unread(values, environment):
        told = words["strict"].format(
            user=user, what=unread[0], folders=shlex.join([str(values.root / "app"), str(environment)])
        )
        sys.stderr.write(f"{told}\n")
    sys.stdout.write(f"\n{words['next']}\n")
    sys.stdout.writelines(f"  {command}\n" for command in _next(values, into, replicas))
    unknown = range(FIRST_PORT + PORTS_IN_NGINX, FIRST_PORT + replicas)
    if unknown:
        sys.stdout.write(f"{words['nginx'].format(first=FIRST_PORT, last=unknown[0] - 1)}\n")
        for rest in ("max_fails=3 fail_timeout=5s", "backup max_fails=0"):
            sys.stdout.writelines(f"  server 127.0.0.1:{port} {rest};\n" for port in unknown)


def _values(settings: Settings, user: str, words: Mapping[str, str]) -> UnitValues:
    try:
        account = pwd.getpwnam(user)
        group = grp.getgrgid(account.pw_gid).gr_name
    except KeyError:
        group = user
    try:
        return UnitValues.of(
            settings,
            sqlite_file(settings.database_url.get_secret_value()),
            root=Path.cwd(),
            python=Path(sys.executable),
            outside=Path(sys.base_prefix),
            user=user,
            group=group,
        )
    except ValueError as error:
        _give_up(words["awkward"].format(what=error), Exit.CONFIG)


def _write(files: Mapping[Path, Written], words: Mapping[str, str], *, force: bool) -> None:
    """Write every file or, where one differs and may not be replaced, none."""
    at = next(iter(files)).parent
    try:
        there = {path: path.read_text(encoding="utf-8", errors="replace") for path in files if path.exists()}
        differing = [path for path, text in there.items() if text != files[path].text]
        if differing and not force:
            _give_up(words["differs"].format(names=", ".join(path.name for path in differing)), Exit.CHECK_FAILED)
        stamp = SystemClock().now().strftime("%Y%m%dT%H%M%SZ")
        for path, one in files.items():
            at = path.parent
            at.mkdir(parents=True, exist_ok=True)
            verdict = "same" if path in there else "written"
            if path in differing:
                verdict = "replaced"
                path.rename(path.with_name(f"{path.name}.{stamp}.bak"))  # systemd passes over names that end so
            if verdict != "same":
                put(path, one.text.encode(), mode=one.mode)
            sys.stdout.write(f"{path}: {words[verdict]}\n")
    except PermissionError:
        _give_up(f"{words['denied'].format(into=at)}\n  {again_as_root()}", Exit.CHECK_FAILED)
    except OSError as error:
        _give_up(words["unwritable"].format(into=at, reason=error.strerror), Exit.CHECK_FAILED)


def _closed(values: UnitValues) -> list[Path]:
    """Folders on the way to the project and its Python that the account may not pass, outermost first."""
    on_the_way = {parent for path in (values.root / "app", values.outside / "bin") for parent in path.parents}
    return [folder for folder in sorted(on_the_way) if folder.exists() and not _may_pass(folder.stat(), values.user)]


def _unread(values: UnitValues, environment: Path) -> list[Path]:
    """List what the server reads first and the account may not: a strict umask closes what was made under it."""
    first = (values.root / "app" / "main.py", environment / "pyvenv.cfg", Path(typer.__file__))
    return [path for path in first if path.exists() and not _may_read(path.stat(), values.user)]


def _may_read(file: os.stat_result, user: str) -> bool:
    """Tell whether `user` may read: the right to read stands one place above the right to pass, twice."""
    shifted = os.stat_result((file.st_mode >> 2, *file[1:]))
    return _may_pass(shifted, user)


def _may_pass(folder: os.stat_result, user: str) -> bool:
    """Tell whether `user` may pass: by the owner's right, else a group's, else everybody's, as the kernel judges it."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:  # it is made later, and nothing is its own yet
        return bool(folder.st_mode & stat.S_IXOTH)
    if folder.st_uid == account.pw_uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid in os.getgrouplist(user, account.pw_gid):
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def _next(values: UnitValues, into: Path, replicas: int) -> list[str]:
    folders = shlex.join(map(str, values.writable))  # what a backup writes to is among them
    try:
        pwd.getpwnam(values.user)
        commands = []
    except KeyError:
        commands = [f"sudo useradd --system --home-dir {values.root} --shell /usr/sbin/nologin {values.user}"]
    commands += [f"sudo mkdir -p {folders}", f"sudo chown -R {values.user}:{values.group} {folders}"]
    if ENV_FILE.exists():
        commands.append(f"sudo chgrp {values.group} .env && sudo chmod 640 .env")
    if into.absolute() != SYSTEM:
        commands.append(f"sudo cp {shlex.quote(str(into))}/aisha-webhook-* {SYSTEM}/")
        commands.append(f"sudo install -m 755 {shlex.quote(str(into / WRAPPER.name))} {WRAPPER}")
    commands.append("sudo systemctl daemon-reload")
    if replicas > 1 and any((folder / name).exists() for folder in (into, SYSTEM) for name in units.SINGLE):
        commands.append("sudo systemctl disable --now aisha-webhook-api.socket aisha-webhook-api.service")
    return [*commands, *_switching(replicas)]


def _switching(replicas: int) -> Sequence[str]:
    names = ["aisha-webhook-api"]
    if replicas > 1:
        names = [f"aisha-webhook-api@{port}" for port in range(FIRST_PORT, FIRST_PORT + replicas)]
    wanted = [f"{name}.{kind}" for kind in ("socket", "service") for name in names]
    return (
        f"sudo systemctl enable --now {' '.join(wanted)} aisha-webhook-backup.timer",
        f"systemctl status --no-pager {' '.join(names)}",
        f"journalctl -f {' '.join(f'-u {name}' for name in names)}",
    )


def _give_up(why: str, code: Exit) -> NoReturn:
    sys.stderr.write(f"{why}\n")
    raise typer.Exit(code)
