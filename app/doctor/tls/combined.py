"""A certificate's file that holds more than certificates: rewriting would lose the rest, often the key."""

import re
import shlex

from app.tls.pair_files import PairPaths

OTHER_BLOCK = re.compile(rb"-----BEGIN (?!CERTIFICATE-----)([A-Z0-9 ]+)-----")
PRIVATE_KEY = "PRIVATE KEY"


def more_inside(content: bytes) -> tuple[str, ...]:
    """Name the kinds of PEM blocks in `content` that are no certificates, such as `EC PRIVATE KEY`, once each."""
    return tuple(dict.fromkeys(kind.decode("ascii") for kind in OTHER_BLOCK.findall(content)))


def taken_apart(paths: PairPaths) -> str:
    """Return the command that copies the certificates, and the key, into files of their own beside this one."""
    file = shlex.quote(str(paths.cert))
    certificates, key = (shlex.quote(f"{paths.cert}.{kind}") for kind in ("certificates", "key"))
    copied = f"openssl crl2pkcs7 -nocrl -certfile {file} | openssl pkcs7 -print_certs -out {certificates}"
    if paths.key.resolve() != paths.cert.resolve():
        return copied
    return f"{copied}; (umask 077; openssl pkey -in {file} -out {key})"
