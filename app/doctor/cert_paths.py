"""The certificate by the settings: paths of its files, names it must cover, and fetching its missing issuers."""

from datetime import datetime
from time import monotonic
from urllib.parse import urlsplit

from app.core.config import Settings
from app.doctor.tls.aia import Issuers, fetch_issuers
from app.doctor.tls.download import DEADLINE_SECONDS, download
from app.doctor.tls.examination import Examined
from app.doctor.tls.repair import needs_issuers
from app.tls.pair_files import PairPaths
from app.tls.roots import system_roots

FETCH_SECONDS = 60.0  # for the whole climb: up to four issuers, each at up to four addresses


def paths_of(settings: Settings) -> PairPaths:
    """Return where the settings say the three files lie."""
    return PairPaths(settings.ssl_cert_path, settings.ssl_key_path, settings.ssl_ca_bundle_path)


def names_of(settings: Settings) -> list[str]:
    """Return the names that the certificate must cover: API_DOMAIN, and the host of FAL_WEBHOOK_URL."""
    host = urlsplit(settings.fal_webhook_url or "").hostname
    return list(dict.fromkeys(name for name in (settings.api_domain, host) if name))


def missing_issuers(seen: Examined, now: datetime) -> Issuers:
    """Fetch what the chain lacks, nearest first, as far as it is valid at `now`.

    Empty where none is missing, or none came within FETCH_SECONDS.
    """
    if seen.pair is None or not needs_issuers(seen):
        return []
    end = monotonic() + FETCH_SECONDS

    def get(url: str) -> bytes:
        return download(url, min(DEADLINE_SECONDS, max(end - monotonic(), 0.0)))

    return fetch_issuers(seen.pair.chain[-1], get, system_roots(), now)
