"""Finds the text of each setting, and where it stands: environment, `.env`, files of secrets; and slips in names."""

import grp
import os
import re
import shlex
import stat
from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher, get_close_matches
from io import StringIO
from pathlib import Path

from dotenv.parser import Binding, parse_stream
from dotenv.variables import parse_variables
from pydantic.fields import FieldInfo

from app.core import setting_meta as meta
from app.core.setting_checks import Wrong
from app.core.setting_words import ENVIRONMENT, FILE_OF, LINE_OF, UNREADABLE, Words, finding, verbatim
from app.core.text import UNSAFE
from app.domain.language import Msgid, msgid

SECRET_FILE_LIMIT = 65536  # bytes
ENV_FILE_LIMIT = 1 << 20  # bytes
STORE = ("/etc/credstore", "aisha-webhook.")  # where the units take credentials from, and how those are named there
_NAMED = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]{0,63})\s*=")
# What a text editor makes of quotes, and what it begins and ends with.
QUOTES = ('""', "''", "“”", "„“", "„”", "«»", "‘’", "””", "’’", "``")
NOT_UTF8 = msgid("the file is not UTF-8")
NOT_A_FILE = msgid("this is not a regular file")
OPEN_TO_ALL = msgid("the secret's file is readable by everyone")
READABLE = Words(msgid("the path of a file that the server can read"))
OF_LINES = Words(msgid("a file of NAME=value lines, see env.example"))
IN_UTF8 = Words(msgid("it in UTF-8: iconv -f UTF-16 -t UTF-8"))
HERE = Words(ENVIRONMENT)
PAIRED = Words(msgid("NAME=value, quotes in pairs"))


@dataclass(frozen=True, slots=True, repr=False)  # a repr would show secrets
class Given:
    """A text found for a setting, under which name, and where."""

    value: str
    name: str
    place: Words = HERE


@dataclass(slots=True, repr=False)
class Collected:
    """Everything found: texts by field, what is wrong already, and notes (English sentences) for the log."""

    given: dict[str, Given] = field(default_factory=dict)
    beside: dict[str, Given] = field(default_factory=dict)  # other names that were asked for, as `.env` has them
    findings: list[Words] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def refuse(self, given: Given, wrong: Msgid, remedy: Words) -> None:
        """Add a finding."""
        self.findings.append(finding(given.name, given.place, wrong, remedy))


def environment() -> MutableMapping[str, str]:
    """Return the variables of this process: the only function that gives access to them."""
    return os.environ  # noqa: TID251 settings read it here, once


def collect(
    fields: Mapping[str, FieldInfo], env_file: Path | None, environ: Mapping[str, str], beside: Sequence[str] = ()
) -> Collected:
    """Look every field of Settings up: environment, then *env_file*, each by value or by `NAME_FILE`.

    A credential that systemd passes (LoadCredential=NAME) counts as a `NAME_FILE` of the environment; where none are
    passed, those of the store do, which root alone can read: what root types works with what the service works with.
    A name that is empty in the environment is not looked up in `.env`: a single run can so unset what `.env` sets.
    What `.env` says of the names in `beside` is kept as it is.
    Raises nothing; whatever cannot be read is a finding.
    """
    found = Collected()
    names = [name for one in fields.items() for name in meta.names(*one)]
    pointers = [name for one in fields.items() for name in meta.file_names(*one)]
    spelled = sorted(environ.items(), key=lambda pair: pair[0].isupper())
    here = _credentials(pointers, environ) | {name.upper(): Given(value, name) for name, value in spelled}
    lines = _env_file(env_file, {*names, *pointers, *beside}, environ, found) if env_file is not None else {}
    found.beside = {name: lines[name] for name in beside if name in lines}
    for one in fields.items():
        if not _look(*one, here, found) and not any(name in here for name in meta.names(*one)):
            _look(*one, lines, found)
    secrets = {pointer.removesuffix("_FILE") for pointer in pointers}
    if env_file is not None and secrets & lines.keys() and env_file.stat().st_mode & stat.S_IROTH:
        found.notes.append(f"{env_file} holds secrets and everyone on this machine can read it: chmod 600 {env_file}")
    return found


def _credentials(pointers: Iterable[str], environ: Mapping[str, str]) -> dict[str, Given]:
    passed = environ.get("CREDENTIALS_DIRECTORY")
    folder, prefix = (passed, "") if passed else STORE
    paths = {name: Path(folder, prefix + name.removesuffix("_FILE")) for name in pointers}
    return {name: Given(str(path), name) for name, path in paths.items() if os.access(path, os.F_OK)}


def _look(name: str, info: FieldInfo, level: Mapping[str, Given], found: Collected) -> bool:
    """Take the field's text from one level; tell whether it stands there. `NAME=` means not set."""
    there = [level[one] for one in meta.names(name, info) if one in level]
    # Spaces in place of a secret are no text of somebody's who wanted none.
    is_secret = bool(there) and meta.is_secret(info)
    direct = [given for given in there if (given.value if is_secret else given.value.strip())]
    files = [level[one] for one in meta.file_names(name, info) if one in level and level[one].value.strip()]
    if direct and files:
        only = Words(msgid("only one of {one}, {other}"), {"one": direct[0].name, "other": files[0].name})
        found.refuse(direct[0], msgid("both the value and its file are given"), only)
    elif direct or files:
        given = direct[0] if direct else _from_file(files[0], info, found)
        if given is not None and _is_clean(given, info, found):
            found.given[name] = given
    return bool(direct or files)


def _is_clean(given: Given, info: FieldInfo, found: Collected) -> bool:
    value = given.value if meta.is_secret(info) else given.value.strip()
    if len(value) > 1 and value[0] + value[-1] in QUOTES:
        bare = Words(msgid("{name}=… without the quotes"), {"name": given.name})
        found.refuse(given, msgid("the quotes became part of the value"), bare)
    elif UNSAFE.search(value):
        found.refuse(given, msgid("an unprintable character in the value"), meta.remedy(info))
    else:
        return True
    return False


def _from_file(pointer: Given, info: FieldInfo, found: Collected) -> Given | None:
    path = Path(pointer.value.strip())
    place = Words(FILE_OF, {"file": path, "place": pointer.place})
    try:
        given = Given(_read(path, SECRET_FILE_LIMIT, is_secret=True).rstrip("\r\n"), pointer.name, place)
    except Wrong as wrong:
        is_open = wrong.why == OPEN_TO_ALL
        found.refuse(
            Given("", pointer.name, place), wrong.why, verbatim(f"chmod o-rwx {path}") if is_open else READABLE
        )
    except (OSError, ValueError):  # ValueError: a NUL in the path
        found.refuse(Given("", pointer.name, place), UNREADABLE, READABLE)
    else:
        if given.value:
            return given
        found.refuse(given, msgid("the file is empty"), meta.remedy(info))
    return None


def _read(path: Path, limit: int, *, is_secret: bool) -> str:
    """Read a text of at most *limit* bytes. Raises OSError, ValueError, Wrong for what is none of ours."""
    with open(path, "rb", opener=_open_at_once) as stream:
        mode = os.fstat(stream.fileno()).st_mode
        if not (stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not is_secret)):  # /dev/null: an empty .env
            raise Wrong(NOT_A_FILE)
        if is_secret and mode & stat.S_IROTH:
            raise Wrong(OPEN_TO_ALL)
        raw = stream.read(limit + 1)
    if len(raw) > limit:
        raise Wrong(msgid("the file is too large for a secret"))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Wrong(NOT_UTF8) from None


def _open_at_once(path: str, flags: int) -> int:
    # without O_NONBLOCK a FIFO that nobody writes to would block the start for ever
    return os.open(path, flags | os.O_NONBLOCK)


def _env_file(path: Path, known: set[str], environ: Mapping[str, str], found: Collected) -> dict[str, Given]:
    whole = Given("", path.name, verbatim(str(path)))
    try:
        text = _read(path, ENV_FILE_LIMIT, is_secret=False)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except Wrong as wrong:
        found.refuse(whole, wrong.why, IN_UTF8 if wrong.why == NOT_UTF8 else OF_LINES)
    except PermissionError:
        found.refuse(whole, UNREADABLE, _let_in(path))
    except OSError as error:
        found.refuse(whole, NOT_A_FILE if isinstance(error, IsADirectoryError) else UNREADABLE, OF_LINES)
    else:
        return _lines(parse_stream(StringIO(text)), path, known, environ, found)
    return {}


def _let_in(path: Path) -> Words:
    """Name the command by which our account may read a file of another's; `sed -i` and editors change its group."""
    try:
        group = grp.getgrgid(os.getegid()).gr_name
    except KeyError:
        group = str(os.getegid())
    shown = shlex.quote(str(path.absolute()))
    return verbatim(f"sudo chgrp {group} {shown} && sudo chmod 640 {shown}")


def _lines(
    bindings: Iterable[Binding], path: Path, known: set[str], environ: Mapping[str, str], found: Collected
) -> dict[str, Given]:
    level: dict[str, Given] = {}
    so_far: dict[str, str | None] = {}
    for binding in bindings:
        raw = binding.original.string
        blank = raw[: len(raw) - len(raw.lstrip())]
        place = Words(LINE_OF, {"file": path, "line": binding.original.line + blank.count("\n")})
        if binding.error:  # named by what stands before its '=', where that is a name, else by its file
            named = _NAMED.match(raw)
            wrong = msgid("the line cannot be read as NAME=value")
            found.refuse(Given("", named[1] if named else path.name, place), wrong, PAIRED)
            continue
        if binding.key is None:
            continue
        name = binding.key.upper()
        meant = None if name in known else nearest(binding.key, sorted(known))
        if meant is not None:
            found.refuse(Given("", binding.key, place), msgid("unknown name, looks like a typo"), verbatim(meant))
        if binding.value is None:
            so_far[binding.key] = None
            if name in known:
                found.refuse(Given("", name, place), msgid("no '=' sign"), verbatim(f"{name}=…"))
            continue
        # The bot reads the same file through python-dotenv, where ${NAME} is filled in.
        atoms = parse_variables(binding.value) if "${" in binding.value else ()
        value = "".join(atom.resolve({**so_far, **environ}) for atom in atoms) if atoms else binding.value
        so_far[binding.key] = value
        if name in known:
            level[name] = Given(value, binding.key, place)
    return level


_SHORT = 3  # letters: APP, BFL, IDS beside API, FAL, IPS are other words, not misspellings
_NEAR = 0.8
_SYNONYMS = {"URI": "URL"}


def nearest(name: str, known: Collection[str]) -> str | None:
    """Find the known name that *name* was meant to be; None where it is another program's key.

    >>> nearest("TELEGRAM_TOKN", ["TELEGRAM_TOKEN"]), nearest("API_PROT", ["API_PORT"])
    ('TELEGRAM_TOKEN', 'API_PORT')
    >>> nearest("APP_PORT", ["API_PORT"]), nearest("TEST_DATABASE_URL", ["DATABASE_URL"])
    (None, None)
    """
    given = [_SYNONYMS.get(word, word) for word in name.upper().replace("-", "_").split("_") if word]
    for candidate in get_close_matches("_".join(given), known, n=5, cutoff=_NEAR):
        words = candidate.split("_")
        if "".join(words) == "".join(given):
            return candidate
        if len(words) == len(given) and all(map(_slip, given, words)):
            return candidate
    return None


def _slip(given: str, meant: str) -> bool:
    if given == meant or sorted(given) == sorted(meant):
        return True
    if len(given) <= _SHORT and len(meant) <= _SHORT:
        return given in meant or meant in given
    return meant.startswith(given) or SequenceMatcher(None, given, meant).ratio() >= _NEAR - 0.1
