"""The `.env` file: who may read it, and what systemd and docker would read in it instead of us."""

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

from app.domain.finding import Finding, Level
from app.domain.wording import Catalogue, Language, Wording, finding

OWNER_ONLY = 0o600
OTHERS = stat.S_IROTH | stat.S_IWOTH

# A quoted value with what may stand around it, as python-dotenv reads it.
_QUOTED = re.compile(r"^(\s*(?:export\s+)?)([A-Za-z_]\w*)(\s*=\s*)(['\"])(.*)\4(\s*|\s+#.*)$")
_COMMENTED = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*[^'\"#\s][^#]*\s#")
_EXPORTED = re.compile(r"^\s*export\s+([A-Za-z_]\w*)\s*=")
_PLAIN = re.compile(r"[^\s'\"#$\\`]+")  # what every reader reads alike without quotes

WORDS: Catalogue = {
    "envfile.ok": Wording(Level.OK, ("{file} читают все одинаково", "{file} is read alike by everyone")),
    "envfile.absent": Wording(
        Level.OK,
        ("{file} нет: настройки из окружения и по умолчанию", "there is no {file}: environment and defaults count"),
    ),
    "envfile.unreadable": Wording(
        Level.WARN,
        ("{file} не читается ({reason})", "{file} cannot be read ({reason})"),
        ("Отдайте файл тому, под кем работает сервер.", "Give the file to the account that the server runs under."),
        'sudo chown "$(id -un)" {file}',
    ),
    "envfile.world_readable": Wording(
        Level.WARN,
        ("{file} доступен всем на этой машине", "{file} is open to everyone on this machine"),
        ("Оставьте его только владельцу.", "Leave it to its owner alone."),
        "chmod 600 {file}",
        fixable=True,
    ),
    "envfile.quoted": Wording(
        Level.WARN,
        (
            (
                "{file}, строки {lines}: кавычки вокруг {names}. Здесь и в systemd они снимаются, "
                "а docker --env-file делает их частью значения"
            ),
            (
                "{file}, lines {lines}: quotes around {names}. They are taken off here and by systemd, "
                "while docker --env-file makes them part of the value"
            ),
        ),
        ("Уберите кавычки.", "Take the quotes off."),
        "aisha-webhook doctor --fix",
        fixable=True,
    ),
    "envfile.commented": Wording(
        Level.WARN,
        (
            (
                "{file}, строки {lines}: примечание после {names}. Здесь оно отрезается, "
                "а systemd и docker --env-file берут его в значение"
            ),
            (
                "{file}, lines {lines}: a comment behind {names}. It is cut off here, "
                "while systemd and docker --env-file take it into the value"
            ),
        ),
        ("Перенесите примечание на свою строку.", "Put the comment on a line of its own."),
        "${{EDITOR:-nano}} {file}",
    ),
    "envfile.exported": Wording(
        Level.WARN,
        (
            "{file}, строки {lines}: export перед {names}. Здесь оно пропускается, systemd и docker его не знают",
            "{file}, lines {lines}: export before {names}. It is skipped here; systemd and docker do not know it",
        ),
        ("Уберите слово export.", "Take the word export away."),
        "sed -i.bak 's/^ *export  *//' {file}",
    ),
    "envfile.fixed": Wording(Level.OK, ("{file}: сделано: {done}", "{file}: done: {done}")),
}
DONE = {
    "closed": ("права 600 вместо {mode:o}", "mode 600 instead of {mode:o}"),
    "unquoted": ("кавычки сняты, прежний файл: {backup}", "quotes taken off, the former file: {backup}"),
}


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    name: str


def look_at_env_file(path: Path, language: Language) -> list[Finding]:
    """Judge permissions and spelling of `.env`; no value is ever part of a finding."""
    try:
        mode = path.stat().st_mode
        lines = path.read_text("utf-8-sig", errors="replace").splitlines()
    except FileNotFoundError:
        return [finding(WORDS, "envfile.absent", language, file=path)]
    except OSError as error:
        return [finding(WORDS, "envfile.unreadable", language, file=path, reason=error.strerror or "")]
    found = []
    if mode & OTHERS:
        found.append(finding(WORDS, "envfile.world_readable", language, file=path))
    for code, hits in (
        ("envfile.quoted", [_Line(n, m[2]) for n, line in enumerate(lines, 1) if (m := _QUOTED.match(line))]),
        ("envfile.commented", [_Line(n, m[1]) for n, line in enumerate(lines, 1) if (m := _COMMENTED.match(line))]),
        ("envfile.exported", [_Line(n, m[1]) for n, line in enumerate(lines, 1) if (m := _EXPORTED.match(line))]),
    ):
        if hits:
            numbers = ", ".join(str(hit.number) for hit in hits)
            names = ", ".join(hit.name for hit in hits)
            found.append(finding(WORDS, code, language, file=path, lines=numbers, names=names))
    return found or [finding(WORDS, "envfile.ok", language, file=path)]


def mend_env_file(path: Path, now: datetime, language: Language) -> list[Finding]:
    """Close the file to others, and take quotes off where every reader then reads the same; tell what was done.

    The former file stays beside it as `.env.<moment>.bak` with the same owner and mode 600. A file that is a link
    belongs to somebody else and is left alone. Raises OSError.
    """
    if path.is_symlink() or not path.is_file():
        return []
    return [finding(WORDS, "envfile.fixed", language, file=path, done=done) for done in _mended(path, now, language)]


def _mended(path: Path, now: datetime, language: Language) -> Iterator[str]:
    tongue = 1 if language == "en" else 0
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & OTHERS:
        # Started by root in a folder of somebody else's, a path may turn into a link meanwhile; a descriptor cannot.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fchmod(descriptor, OWNER_ONLY)
        finally:
            os.close(descriptor)
        yield DONE["closed"][tongue].format(mode=mode)
    before = path.read_bytes()
    after = b"".join(_unquoted(line) for line in before.splitlines(keepends=True))
    if after != before and _values(after) == _values(before):
        backup = path.with_name(f"{path.name}.{now:%Y%m%dT%H%M%SZ}.bak")
        _write(backup, before, like=path)
        _write(path, after, like=path)
        yield DONE["unquoted"][tongue].format(backup=backup)


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
    """Read the values as the server does: a line may turn out to stand inside a longer value."""
    return dotenv_values(stream=StringIO(content.decode("utf-8-sig", errors="replace")), interpolate=False)


def _write(path: Path, content: bytes, *, like: Path) -> None:
    """Put a file in place in one step, owned as `like` is, with its mode but closed to others."""
    facts = like.stat()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), stat.S_IMODE(facts.st_mode) & ~0o007)
            if (facts.st_uid, facts.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), facts.st_uid, facts.st_gid)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
