"""The roots this system trusts."""

import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from app.tls.certificates import CERTIFICATE_BLOCK

UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)
BUNDLE = "ca-certificates.crt"  # Debian puts every root into this file beside the single ones
LARGEST_STORE = 8 << 20  # bytes; Debian's bundle is 220 KiB


def system_roots() -> list[x509.Certificate]:
    """Return the roots OpenSSL would use, [] where there are none (on Debian: no package ca-certificates).

    SSL_CERT_FILE and SSL_CERT_DIR count, as they do for every program that uses OpenSSL. Roots that cannot be read
    are left out: a few old ones do not follow the rules.
    """
    places = ssl.get_default_verify_paths()
    roots: dict[x509.Certificate, None] = {}
    for file in _files(places.cafile, places.capath):
        roots.update(dict.fromkeys(_read(file)))
    return list(roots)


def _files(cafile: str | None, capath: str | None) -> Iterator[Path]:
    if cafile is not None:
        yield Path(cafile)
    if capath is not None:
        folder = Path(capath)
        whole = folder / BUNDLE
        yield from [whole] if whole.is_file() else sorted(folder.glob("*.[0-9]"))


def _read(file: Path) -> list[x509.Certificate]:
    try:
        with file.open("rb") as store:
            content = store.read(LARGEST_STORE)
    except OSError:
        return []
    roots = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old roots have serial numbers that are no longer allowed
        for block in CERTIFICATE_BLOCK.findall(content):
            try:
                roots.append(x509.load_pem_x509_certificate(block))
            except UNREADABLE:
                continue
    return roots
