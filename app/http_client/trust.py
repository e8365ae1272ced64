"""Whom we believe when they show a certificate: SSL_CERT_FILE, else SSL_CERT_DIR, else the system's authorities."""

import os
import ssl
from functools import lru_cache
from pathlib import Path

# Where distributions keep them, for a Python whose OpenSSL was built to look elsewhere.
BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/cert.pem",  # Alpine, BSD
    "/etc/ssl/ca-bundle.pem",  # openSUSE
)


def trust() -> ssl.SSLContext:
    """Return the context for connections to others; one for all clients while the two variables stand as they are.

    Raises OSError for a file or folder that cannot be read.
    """
    file, folder = (os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))  # noqa: TID251 OpenSSL's own
    return _context(str(Path(file).absolute()) if file else None, folder or None)


@lru_cache(maxsize=1)
def _context(file: str | None, folder: str | None) -> ssl.SSLContext:
    # Not create_default_context: it would follow SSLKEYLOGFILE.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    if file is not None or folder is not None:
        context.load_verify_locations(cafile=file, capath=None if file is not None else folder)
        return context
    context.load_default_certs()
    if not _has_anchors(ssl.get_default_verify_paths()):
        bundle = next((each for each in BUNDLES if Path(each).is_file()), None)
        if bundle is not None:
            context.load_verify_locations(cafile=bundle)
    return context


def _has_anchors(paths: ssl.DefaultVerifyPaths) -> bool:
    """Tell whether OpenSSL finds anything where it looks: a file, or a folder with something in it."""
    return paths.cafile is not None or (paths.capath is not None and any(Path(paths.capath).iterdir()))
