"""The certificate that a server begins with, found in a process of its own: X.509 is 14 MiB that serving does not need.

A renewal loads X.509 into the server itself, where it stays until the next start.
"""

from functools import partial
from typing import TYPE_CHECKING

import structlog

from app.core.clock import SystemClock
from app.core.config import Settings
from app.files.apart import Apart

if TYPE_CHECKING:  # without TLS nothing of it is loaded
    from app.tls.live import LiveContext
    from app.tls.pair_files import PairBroken
    from app.tls.served import FirstLook

log = structlog.get_logger(__name__)


def begin_look(settings: Settings) -> "Apart[FirstLook | PairBroken] | None":
    """Begin to look at the pair in another process; None where there is nothing to look at, or no process to be had."""
    if not settings.ssl_enabled:
        return None
    try:
        return Apart(partial(_look, settings), "certificate")
    except OSError:
        return None


def load_certificate(settings: Settings, look: "Apart[FirstLook | PairBroken] | None" = None) -> "LiveContext | None":
    """Serve what `look` finds; without one, look in this process. Raises CertificateBroken; None without SSL.

    A pair that can be served is, even one that clients will refuse: that is said aloud.
    """
    if not settings.ssl_enabled:
        return None
    from app.tls.live import LiveContext  # noqa: PLC0415  without TLS nothing of it is loaded

    try:
        found = _look(settings) if look is None else look.result()
    except EOFError:  # it was killed, for its memory perhaps; a bug shows itself here
        found = _look(settings)
    if isinstance(found, Exception):
        raise found
    language = settings.operator_language
    if found.was_made:
        log.warning("certificate.self_signed_made", path=str(settings.ssl_cert_path))
    paths = (settings.ssl_cert_path, settings.ssl_key_path, settings.ssl_ca_bundle_path)
    tls = LiveContext(*paths, language, settings.tls_profile)
    tls.begin(found.pair, found.content)
    if found.doubts:
        texts = [doubt.text(language) for doubt in found.doubts]
        log.warning("certificate.doubtful", codes=[doubt.code for doubt in found.doubts], findings=texts)
    return tls


def _look(settings: Settings) -> "FirstLook | PairBroken":
    from app.tls.first_look import first_look  # noqa: PLC0415  loads X.509 into the process
    from app.tls.pair_files import PairPaths  # noqa: PLC0415  without TLS nothing of it is loaded

    paths = PairPaths(settings.ssl_cert_path, settings.ssl_key_path, settings.ssl_ca_bundle_path)
    return first_look(paths, settings.api_domain, SystemClock().now(), settings.operator_language)
