"""The files of a pair, read as bytes, and the words for what is wrong with one of them."""

import errno
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

from app.catalog import translate
from app.domain.errors import CertificateBroken
from app.domain.language import Language
from app.files.ownership import ownership_of
from app.tls.causes import ANEW, CAUSES, MENDED_BY, SELF_SIGNED
from app.tls.deploy_hook import handed_over

LARGEST_FILE = 1 << 20  # bytes; a bundle of every public root is half of it
UTF8_MARK = b"\xef\xbb\xbf"
DER_SEQUENCE = b"\x30"
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # of the system: they pass, and are no fault of the file


class PairBroken(CertificateBroken):
    """One file cannot be served: `cause` is a key of CAUSES, `told` says what is wrong, `command` mends it.

    `reason` is the system's, empty where there is none.
    """

    def __init__(self, cause: str, told: str, command: str, language: Language, reason: str = "") -> None:
        super().__init__([f"{told}. {translate(MENDED_BY, language)}: {command}"])
        self.cause = cause
        self.told = told
        self.command = command
        self.reason = reason
        self._language: Language = language

    def __reduce__(self) -> tuple[type["PairBroken"], tuple[str, str, str, Language, str]]:
        """Say how it is made again in another process."""
        return PairBroken, (self.cause, self.told, self.command, self._language, self.reason)


@dataclass(frozen=True, slots=True)
class PairPaths:
    """Where the leaf certificate, its key and the intermediates lie; the bundle need not exist."""

    cert: Path
    key: Path
    ca_bundle: Path


def broken(cause: str, file: Path, paths: PairPaths, language: Language, reason: str = "") -> PairBroken:
    """Word one finding: the file, the cause and the command that mends it.

    The command never changes the owner of another account's folder. A file may be given to the account of this process:
    the code that asks is about to serve it. Where certbot's hook writes the pair, it is run again: a self-signed one
    would take the place of a certificate that clients believe.
    """
    whose = ownership_of(file.parent if cause == "unwritable" else file)
    if cause == "unwritable" and whose.is_foreign and file.parent.is_dir():
        cause = "foreign_folder"
    account = whose.owner if cause.startswith("foreign") else whose.heir if whose.is_roots else whose.us
    told, command = CAUSES[cause]
    if file == paths.ca_bundle != paths.cert and command == ANEW:
        command = "mv {file} {file}.old"
    elif SELF_SIGNED in command:
        handing = handed_over(paths.cert)
        command = command if handing is None else handing.replace("{", "{{").replace("}", "}}")
    other = paths.key if file == paths.cert else paths.cert
    words = translate(told, language).format(other=other, reason=reason, account=account).rstrip()
    places = {
        "file": file,
        "other": other,
        "cert": paths.cert,
        "key": paths.key,
        "folder": file.parent,
        "account": account,
        "sudo_name": whose.sudo_name,
        "python": sys.executable,
    }
    mending = command.format(**{name: shlex.quote(str(path)) for name, path in places.items()})
    return PairBroken(cause, f"{file}: {words}", mending, language, reason)


@dataclass(frozen=True, slots=True)
class PairContent:
    """The bytes of the three files as read at one moment; `ca_bundle` is empty where there is no bundle."""

    cert: bytes
    key: bytes = field(repr=False)
    ca_bundle: bytes


def read_content(paths: PairPaths, language: Language) -> PairContent:
    """Read the three files at once, as bytes; raises CertificateBroken."""
    return PairContent(
        cert=read_file(paths.cert, paths, language),
        key=read_file(paths.key, paths, language),
        ca_bundle=read_file(paths.ca_bundle, paths, language, optional=True),
    )


def read_file(path: Path, paths: PairPaths, language: Language, *, optional: bool = False) -> bytes:
    """Return the text without a byte order mark and with Unix line ends; b"" only for a missing optional file."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except FileNotFoundError as error:
        if optional:
            return b""
        if path.is_symlink():
            raise broken("dangling", path, paths, language, str(path.readlink())) from error
        raise broken("missing", path, paths, language) from error
    except OSError as error:
        cause = "starved" if error.errno in SHORTAGES else "unreadable"
        raise broken(cause, path, paths, language, error.strerror or "") from error
    if len(data) > LARGEST_FILE:
        raise broken("too_large", path, paths, language)
    data = plain(data)
    if not data.strip():
        raise broken("empty", path, paths, language)
    return data


def plain(data: bytes) -> bytes:
    """Return `data` without a byte order mark and with Unix line ends."""
    data = data.removeprefix(UTF8_MARK)
    # A binary file is left as it is: changing its bytes would turn the error "it is DER" into "it is damaged".
    return data if is_der(data) else data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def is_der(data: bytes) -> bool:
    return data.startswith(DER_SEQUENCE) and b"-----BEGIN" not in data
