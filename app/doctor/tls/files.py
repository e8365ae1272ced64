"""The three files: whether they exist, are readable, PEM, and closed to other accounts."""

import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509

from app.doctor.finding import Finding
from app.doctor.tls.renewal import is_there, lineage_of
from app.doctor.tls.voice import say, say_broken
from app.domain.language import Language
from app.files.ownership import ownership_of
from app.tls.chain import certificates_in, key_in, put_together
from app.tls.pair_files import (
    LARGEST_FILE,
    UTF8_MARK,
    PairBroken,
    PairContent,
    PairPaths,
    broken,
    is_der,
    read_content,
    read_file,
)
from app.tls.served import ServedPair

# The group may read: the server may be given the key that way.
OTHERS_MAY = stat.S_IRWXO | stat.S_IWGRP


def read_pair(
    paths: PairPaths, language: Language, now: datetime, roots: Sequence[x509.Certificate]
) -> tuple[PairContent, ServedPair] | list[Finding]:
    """Return what the files hold and the pair they make, or a finding for each file that is in the way."""
    wrong = _broken_files(paths, language)
    if wrong:
        return wrong
    try:
        content = read_content(paths, language)
        return content, put_together(content, paths, language, now, lambda: roots)
    except PairBroken as error:
        return [say_broken(error, language)]


def _broken_files(paths: PairPaths, language: Language) -> list[Finding]:
    wrong = []
    checks: tuple[tuple[Path, Callable[[], object]], ...] = (
        (paths.cert, lambda: certificates_in(read_file(paths.cert, paths, language), paths.cert, paths, language)),
        (paths.key, lambda: key_in(read_file(paths.key, paths, language), paths.key, paths, language)),
        (paths.ca_bundle, lambda: _bundle(paths, language)),
    )
    for file, check in checks:
        try:
            check()
        except PairBroken as error:
            wrong.append(say_broken(_seen_from_here(error, file, paths, language), language))
    return wrong


def _bundle(paths: PairPaths, language: Language) -> None:
    content = read_file(paths.ca_bundle, paths, language, optional=True)
    if content:
        certificates_in(content, paths.ca_bundle, paths, language)


def _seen_from_here(error: PairBroken, file: Path, paths: PairPaths, language: Language) -> PairBroken:
    """Replace an error that is worded for the server by the one for whoever runs the doctor.

    A new pair is made only where both files are missing, so the remaining one must be moved first. And the doctor may
    run under another account than the server: a file that the server can read must not be given away.
    """
    if error.cause == "unreadable" and ownership_of(file).is_foreign:
        return broken("foreign", file, paths, language, error.reason)
    gone = [path for path in (paths.cert, paths.key) if not is_there(path)]
    if error.cause == "missing" and len(gone) == 1:
        return broken("twin_missing", gone[0], paths, language)
    return error


def judge_text(paths: PairPaths, language: Language) -> Iterator[Finding]:
    """Name what Windows editors left in PEM files: this server reads them all the same."""
    for path in dict.fromkeys((paths.cert, paths.key, paths.ca_bundle)):
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST_FILE)
        except OSError:  # reported by the check that needs the file
            continue
        if is_der(content):
            continue
        fixable = lineage_of(path) is None
        if content.startswith(UTF8_MARK):
            yield say("files.byte_order_mark", language, fixable=fixable, file=path)
        if b"\r" in content:
            yield say("files.windows_lines", language, fixable=fixable, file=path)


def judge_key_mode(paths: PairPaths, language: Language) -> Iterator[Finding]:
    """Name a private key that others than its owner and its group may touch."""
    try:
        mode = paths.key.stat().st_mode & 0o777
    except OSError:
        return
    if mode & OTHERS_MAY:
        yield say("files.key_open", language, fixable=True, file=paths.key, mode=f"{mode:04o}")
