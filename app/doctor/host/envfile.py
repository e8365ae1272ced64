"""The `.env` file: who may read it, and where systemd and docker would read other values than the server."""

import os
import re
import shlex
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

from app.catalog import translate
from app.doctor.access import Reader
from app.doctor.finding import AS_ITS_OWNER, ASK_ITS_OWNER, Catalogue, Finding, Level, Wording, finding
from app.doctor.host.unit import FOLDER as UNITS
from app.doctor.host.unit import reader_of
from app.domain.language import Language, msgid
from app.files.atomic_write import put
from app.files.ownership import ROOT, ownership_of

OTHERS = stat.S_IROTH | stat.S_IWOTH
ALL_OF_OTHERS = stat.S_IRWXO

# A quoted value with what may stand around it, as python-dotenv reads it.
_QUOTED = re.compile(r"^(\s*(?:export\s+)?)([A-Za-z_]\w*)(\s*=\s*)(['\"])(.*)\4(\s*|\s+#.*)$")
_COMMENTED = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*[^'\"#\s][^#]*\s#")
_EXPORTED = re.compile(r"^\s*export\s+([A-Za-z_]\w*)\s*=")
_SPACED = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s+=\s*[^'\"\s]")
_DOLLAR = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=.*\$")
_PLAIN = re.compile(r"[^\s'\"#$\\`]+")  # what every reader reads alike without quotes

WORDS: Catalogue = {
    "envfile.ok": Wording(Level.OK, msgid("{file} is read alike by everyone")),
    "envfile.absent": Wording(
        Level.OK,
        msgid("there is no {file}: environment and defaults count"),
    ),
    "envfile.unreadable": Wording(
        Level.WARN,
        msgid("{file} cannot be read ({reason})"),
        msgid("Give the file to the account that the server runs under."),
        "sudo chown {account} {file}",
    ),
    "envfile.foreign": Wording(
        Level.WARN,
        msgid("{file} belongs to {account} and is closed to us; whether the server reads it cannot be told from here"),
        ASK_ITS_OWNER,
        AS_ITS_OWNER,
    ),
    "envfile.world_readable": Wording(
        Level.WARN,
        msgid("{file} is open to everyone on this machine"),
        msgid("Leave it to its owner and group."),
        "chmod o= {file}",
        fixable=True,
    ),
    "envfile.quoted": Wording(
        Level.WARN,
        msgid(
            "{file}, lines {lines}: quotes around {names}. Here and for systemd they do not count, "
            "for docker --env-file they are part of the value"
        ),
        msgid("Take the quotes off."),
        "aisha-webhook doctor --fix",
        fixable=True,
    ),
    "envfile.commented": Wording(
        Level.WARN,
        msgid(
            "{file}, lines {lines}: a comment behind {names}. It is cut off here, "
            "while systemd and docker --env-file take it into the value"
        ),
        msgid("Put the comment on a line of its own."),
        "${{EDITOR:-nano}} {file}",
    ),
    "envfile.exported": Wording(
        Level.WARN,
        msgid("{file}, lines {lines}: export before {names}. It is skipped here; systemd and docker do not know it"),
        msgid("Take the word export away."),
        "sed -i.bak 's/^ *export  *//' {file}",
    ),
    "envfile.spaced": Wording(
        Level.WARN,
        msgid(
            "{file}, lines {lines}: a blank before the = of {names}. Here it is passed over; "
            "systemd ignores the line, docker refuses it"
        ),
        msgid("Write NAME=value, without blanks."),
        "sed -i.bak -E 's/^([A-Za-z_]+) *= */\\1=/' {file}",
    ),
    "envfile.dollar": Wording(
        Level.WARN,
        msgid(
            "{file}, lines {lines}: a $ in {names}. Here ${{NAME}} is filled in; "
            "systemd takes it as it stands, docker compose fills in $NAME, too"
        ),
        msgid("Write the value without a $; in a URL it is %24."),
        "${{EDITOR:-nano}} {file}",
    ),
    "envfile.fixed": Wording(Level.OK, msgid("{file}: done: {done}")),
}
DONE = {
    "closed": msgid("mode {closed:o} instead of {mode:o}"),
    "unquoted": msgid("quotes taken off, the former file: {backup}"),
}


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    name: str


def look_at_env_file(path: Path, language: Language, units: Path = UNITS) -> list[Finding]:
    """Judge permissions and spelling of `.env`; no value is ever part of a finding.

    The unit in the folder `units` tells who reads the file; without one the owner of the folder is assumed.
    """
    try:
        facts = path.stat()
        lines = path.read_text("utf-8-sig", errors="replace").splitlines()
    except FileNotFoundError:
        return [finding(WORDS, "envfile.absent", language, file=path)]
    except OSError as error:
        return [_unreadable(path, error, language)]
    found = []
    if facts.st_mode & OTHERS:
        found.append(_open_to_all(path, facts, reader_of(units), language))
    for code, hits in (
        ("envfile.quoted", [_Line(n, m[2]) for n, line in enumerate(lines, 1) if (m := _QUOTED.match(line))]),
        ("envfile.commented", [_Line(n, m[1]) for n, line in enumerate(lines, 1) if (m := _COMMENTED.match(line))]),
        ("envfile.spaced", [_Line(n, m[1]) for n, line in enumerate(lines, 1) if (m := _SPACED.match(line))]),
        ("envfile.dollar", [_Line(n, m[1]) for n, line in enumerate(lines, 1) if (m := _DOLLAR.match(line))]),
        ("envfile.exported", [_Line(n, m[1]) for n, line in enumerate(lines, 1) if (m := _EXPORTED.match(line))]),
    ):
        if hits:
            numbers = ", ".join(str(hit.number) for hit in hits)
            names = ", ".join(hit.name for hit in hits)
            found.append(finding(WORDS, code, language, file=path, lines=numbers, names=names))
    return found or [finding(WORDS, "envfile.ok", language, file=path)]


def _open_to_all(path: Path, facts: os.stat_result, reader: Reader | None, language: Language) -> Finding:
    found = finding(WORDS, "envfile.world_readable", language, file=path)
    if not _locks_out(facts, path, reader):
        return found
    file = shlex.quote(str(path))
    if reader is not None:
        command = f"sudo chgrp {shlex.quote(reader.group)} {file} && sudo chmod g+r,o= {file}"
    else:
        folder = path.absolute().parent.stat()
        command = f"sudo chown {folder.st_uid}:{folder.st_gid} {file} && sudo chmod o= {file}"
    return replace(found, command=command, fixable=False)


def _locks_out(facts: os.stat_result, path: Path, reader: Reader | None) -> bool:
    """Tell whether the server could no longer read the file once it is closed to others.

    Where the server's account is unknown: whether the file is root's alone, and the folder belongs to another account.
    """
    if reader is not None:
        closed = facts.st_mode & ~ALL_OF_OTHERS
        return reader.would_lose(before=facts.st_mode, after=closed, uid=facts.st_uid, gid=facts.st_gid)
    return facts.st_uid == facts.st_gid == ROOT != path.absolute().parent.stat().st_uid


def _unreadable(path: Path, error: OSError, language: Language) -> Finding:
    whose = ownership_of(path)
    if whose.is_foreign:
        facts = {"account": whose.owner, "sudo_name": whose.sudo_name, "python": sys.executable}
        return finding(WORDS, "envfile.foreign", language, file=path, **facts)
    return finding(WORDS, "envfile.unreadable", language, file=path, account=whose.heir, reason=error.strerror or "")


def mend_env_file(path: Path, now: datetime, language: Language, units: Path = UNITS) -> list[Finding]:
    """Close the file to others, and take quotes off where every reader then reads the same; tell what was done.

    The group keeps its right to read, through which the server may be reading the file. A file that the account of the
    unit in `units` could then no longer read is left alone, and the look says what to run. The former file is kept as
    `.env.<moment>.bak` with the same owner and mode. A link is left alone: its target may be shared. Raises OSError.
    """
    if path.is_symlink() or not path.is_file():
        return []
    mended = _mended(path, now, reader_of(units), language)
    return [finding(WORDS, "envfile.fixed", language, file=path, done=done) for done in mended]


def _mended(path: Path, now: datetime, reader: Reader | None, language: Language) -> Iterator[str]:
    # In a folder of another account the path may be replaced by a link after the check; a descriptor cannot be.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        facts = os.fstat(descriptor)
        mode = stat.S_IMODE(facts.st_mode)
        closed = mode & ~ALL_OF_OTHERS
        if mode & OTHERS:
            if _locks_out(facts, path, reader):
                return
            os.fchmod(descriptor, closed)
            yield translate(DONE["closed"], language).format(mode=mode, closed=closed)
    finally:
        os.close(descriptor)
    before = path.read_bytes()
    after = b"".join(_unquoted(line) for line in before.splitlines(keepends=True))
    if after != before and _values(after) == _values(before):
        backup = path.with_name(f"{path.name}.{now:%Y%m%dT%H%M%SZ}.bak")
        _write(backup, before, like=path)
        _write(path, after, like=path)
        yield translate(DONE["unquoted"], language).format(backup=backup)


def _unquoted(line: bytes) -> bytes:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return line
    body = text.rstrip("\r\n")
    match = _QUOTED.match(body)
    if match is None or not _PLAIN.fullmatch(match[5]):
        return line
    return (match.expand(r"\1\2\3\5\6") + text[len(body) :]).encode()


def _values(content: bytes) -> dict[str, str | None]:
    """Read the values as the server does: a line may be part of a value of several lines."""
    return dotenv_values(stream=StringIO(content.decode("utf-8-sig", errors="replace")), interpolate=False)


def _write(path: Path, content: bytes, *, like: Path) -> None:
    """Put a file in place in one step, owned as `like` is, with its mode but closed to others."""
    facts = like.stat()
    put(path, content, mode=stat.S_IMODE(facts.st_mode) & ~ALL_OF_OTHERS, owner=(facts.st_uid, facts.st_gid))
