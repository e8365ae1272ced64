"""Reads settings from the environment, `.env` and secret files, and remembers where each value was found."""

import grp
import os
import re
import shlex
import stat
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from dotenv.parser import Binding, parse_stream
from dotenv.variables import parse_variables

from app.core.setting_checks import Wrong
from app.core.setting_errors import Origin, Remedy, SettingError, verbatim
from app.core.setting_typos import nearest
from app.core.text import UNSAFE, one_line
from app.domain.language import msgid

SECRET_FILE_LIMIT = 65536  # bytes
ENV_FILE_LIMIT = 1 << 20  # bytes
_NAMED = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]{0,63})\s*=")
# What a text editor makes of quotes, and what it begins and ends with.
QUOTES = ('""', "''", "“”", "„“", "„”", "«»", "‘’", "””", "’’", "``")
ONLY_ONE = msgid("only one of {one}, {other}")
UNQUOTED = msgid("{name}=… without the quotes")
READABLE = Remedy(msgid("the path of a file that the server can read"))
OF_LINES = Remedy(msgid("a file of NAME=value lines, see env.example"))
IN_UTF8 = Remedy(msgid("it in UTF-8: iconv -f UTF-16 -t UTF-8"))
PAIRED = Remedy(msgid("NAME=value, quotes in pairs"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """One setting to look for: its field, its names (the first is preferred), and what a right value looks like."""

    field: str
    names: tuple[str, ...]
    secret: bool
    remedy: Remedy

    @property
    def file_names(self) -> tuple[str, ...]:
        """The names that point at a file with the value; none for what is no secret."""
        return tuple(f"{name}_FILE" for name in self.names) if self.secret else ()

    def absent(self, value: str) -> bool:
        """`NAME=` means not set; spaces in place of a secret are reported as an error."""
        return not (value if self.secret else value.strip())


@dataclass(frozen=True, slots=True, repr=False)  # a repr would show secrets
class Given:
    """A text found for a setting, under which name, and where."""

    value: str
    name: str
    origin: Origin


@dataclass(slots=True, repr=False)
class Collected:
    """Everything found: texts by field, what is wrong already, and notes (English sentences) for the log."""

    given: dict[str, Given] = field(default_factory=dict)
    beside: dict[str, Given] = field(default_factory=dict)  # other names that were asked for, as `.env` has them
    findings: list[SettingError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def environment() -> MutableMapping[str, str]:
    """Return the variables of this process: the only function that gives access to them."""
    return os.environ  # noqa: TID251 settings read it here, once


def collect(
    wanted: Sequence[Wanted], env_file: Path | None, environ: Mapping[str, str], beside: Sequence[str] = ()
) -> Collected:
    """Look every setting up: environment, then *env_file*, each by value or by `NAME_FILE`.

    A credential that systemd passes (LoadCredential=NAME) counts as a `NAME_FILE` of the environment.
    A name that is empty in the environment is not looked up in `.env`: a single run can so unset what `.env` sets.
    What `.env` says of the names in `beside` is kept as it is.
    Raises nothing; whatever cannot be read is a finding.
    """
    found = Collected()
    here = {
        name.upper(): Given(value, name, Origin())
        for name, value in sorted(environ.items(), key=lambda pair: pair[0].isupper())
    }
    here = _credentials(wanted, environ) | here
    lines = _read_env_file(env_file, wanted, beside, environ, found) if env_file is not None else {}
    found.beside = {name: lines[name] for name in beside if name in lines}
    for want in wanted:
        if not _look(want, here, found) and not any(name in here for name in want.names):
            _look(want, lines, found)
    if env_file is not None and any(want.secret and name in lines for want in wanted for name in want.names):
        _note_permissions(env_file, found)
    return found


def _credentials(wanted: Sequence[Wanted], environ: Mapping[str, str]) -> dict[str, Given]:
    folder = environ.get("CREDENTIALS_DIRECTORY")
    paths = [Path(folder, name) for want in wanted if want.secret for name in want.names] if folder else []
    there = [path for path in paths if os.access(path, os.F_OK)]
    return {f"{path.name}_FILE": Given(str(path), f"{path.name}_FILE", Origin()) for path in there}


def _look(want: Wanted, level: Mapping[str, Given], found: Collected) -> bool:
    direct = [level[name] for name in want.names if name in level and not want.absent(level[name].value)]
    files = [level[name] for name in want.file_names if name in level and level[name].value.strip()]
    if direct and files:
        remedy = Remedy(ONLY_ONE, {"one": direct[0].name, "other": files[0].name})
        found.findings.append(SettingError(direct[0].name, direct[0].origin, "twice", remedy))
    elif direct:
        _take(want, direct[0], found)
    elif files:
        secret = _read_secret(files[0], want, found)
        if secret is not None:
            _take(want, secret, found)
    return bool(direct or files)


def _take(want: Wanted, given: Given, found: Collected) -> None:
    value = given.value if want.secret else given.value.strip()
    if len(value) > 1 and value[0] + value[-1] in QUOTES:
        remedy = Remedy(UNQUOTED, {"name": given.name})
        found.findings.append(SettingError(given.name, given.origin, "quoted", remedy))
    elif UNSAFE.search(value):
        found.findings.append(SettingError(given.name, given.origin, "control", want.remedy))
    else:
        found.given[want.field] = given


def _read_secret(pointer: Given, want: Wanted, found: Collected) -> Given | None:
    path = Path(pointer.value.strip())
    origin = Origin(pointer.origin.line, pointer.origin.env_file, str(path))
    try:
        value = _read(path, SECRET_FILE_LIMIT, is_secret=True).rstrip("\r\n")
    except Wrong as wrong:
        is_open = wrong.code == "world_readable"
        code, remedy = wrong.code, verbatim(f"chmod o-rwx {one_line(str(path))}") if is_open else READABLE
    except (OSError, ValueError):  # ValueError: a NUL in the path
        code, remedy = "unreadable_file", READABLE
    else:
        if value:
            return Given(value, pointer.name, origin)
        code, remedy = "empty_file", want.remedy
    found.findings.append(SettingError(pointer.name, origin, code, remedy))
    return None


def _read(path: Path, limit: int, *, is_secret: bool) -> str:
    """Read a text of at most *limit* bytes. Raises OSError, ValueError, Wrong for what is none of ours."""
    with open(path, "rb", opener=_open_at_once) as stream:
        mode = os.fstat(stream.fileno()).st_mode
        if not (stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not is_secret)):  # /dev/null: an empty .env
            raise Wrong("not_a_file")
        if is_secret and mode & stat.S_IROTH:
            raise Wrong("world_readable")
        raw = stream.read(limit + 1)
    if len(raw) > limit:
        raise Wrong("too_long_file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Wrong("not_utf8") from None


def _open_at_once(path: str, flags: int) -> int:
    # without O_NONBLOCK a FIFO that nobody writes to would block the start for ever
    return os.open(path, flags | os.O_NONBLOCK)


def _read_env_file(
    path: Path, wanted: Sequence[Wanted], beside: Sequence[str], environ: Mapping[str, str], found: Collected
) -> dict[str, Given]:
    remedy = OF_LINES
    try:
        text = _read(path, ENV_FILE_LIMIT, is_secret=False)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except Wrong as wrong:
        code, remedy = wrong.code, IN_UTF8 if wrong.code == "not_utf8" else OF_LINES
    except PermissionError:
        code, remedy = "unreadable_file", _let_in(path)
    except OSError as error:
        code = "not_a_file" if isinstance(error, IsADirectoryError) else "unreadable_file"
    else:
        known = {*beside, *(name for want in wanted for name in (*want.names, *want.file_names))}
        return _lines(parse_stream(StringIO(text)), str(path), known, environ, found)
    found.findings.append(SettingError(path.name, Origin(0, str(path)), code, remedy))
    return {}


def _let_in(path: Path) -> Remedy:
    """Name the command by which our account may read a file of another's; `sed -i` and editors change its group."""
    group = _group_name(os.getegid())
    shown = shlex.quote(one_line(str(path.absolute())))
    return verbatim(f"sudo chgrp {group} {shown} && sudo chmod 640 {shown}")


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _name_in(line: str, env_file: str) -> str:
    """Name a line that cannot be read: by what stands before its '=', where that is a name, else by its file."""
    named = _NAMED.match(line)
    return named[1] if named else Path(env_file).name


def _lines(
    bindings: Iterable[Binding], env_file: str, known: set[str], environ: Mapping[str, str], found: Collected
) -> dict[str, Given]:
    level: dict[str, Given] = {}
    so_far: dict[str, str | None] = {}
    for binding in bindings:
        raw = binding.original.string
        blank = raw[: len(raw) - len(raw.lstrip())]
        origin = Origin(binding.original.line + blank.count("\n"), env_file)
        if binding.error:
            found.findings.append(SettingError(_name_in(raw, env_file), origin, "unreadable_line", PAIRED))
            continue
        if binding.key is None:
            continue
        name = binding.key.upper()
        if name not in known:
            _suspect(binding.key, origin, known, found)
        elif binding.value is None:
            found.findings.append(SettingError(name, origin, "no_equals", verbatim(f"{name}=…")))
        so_far[binding.key] = None if binding.value is None else _interpolated(binding.value, {**so_far, **environ})
        if name in known and binding.value is not None:
            level[name] = Given(so_far[binding.key] or "", binding.key, origin)
    return level


def _interpolated(value: str, names: Mapping[str, str | None]) -> str:
    # the bot reads the same file through python-dotenv, where ${NAME} is filled in
    return "".join(atom.resolve(names) for atom in parse_variables(value)) if "${" in value else value


def _suspect(key: str, origin: Origin, known: set[str], found: Collected) -> None:
    meant = nearest(key, sorted(known))
    if meant is not None:
        found.findings.append(SettingError(key, origin, "unknown", verbatim(meant)))


def _note_permissions(env_file: Path, found: Collected) -> None:
    if env_file.stat().st_mode & stat.S_IROTH:
        found.notes.append(f"{env_file} holds secrets and everyone on this machine can read it: chmod 600 {env_file}")
