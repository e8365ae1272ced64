"""What the doctor may mend by itself: each repair is safe, keeps the former file, and says what it did."""

from collections.abc import Sequence

from app.cli.machine import Machine
from app.core.config import Settings
from app.domain.finding import Finding
from app.flows.examine import Look, examine, in_thread
from app.host.envfile import mend_env_file
from app.tls.aia import fetch_issuers
from app.tls.certificates import PairPaths
from app.tls.download import download
from app.tls.repair import CLIMB_CODES, fixes

SECONDS = 120.0  # four issuers at 15 s each, twice over


async def mend(settings: Settings, machine: Machine, *, only_tls: bool) -> list[Finding]:
    """Mend the certificate's files and, unless `only_tls`, `.env`; return what was done or refused. Raises nothing."""
    language = settings.operator_language
    ru = language == "ru"
    repairs = []
    if settings.ssl_enabled:
        repairs.append(
            Look(
                "сертификат" if ru else "certificate", lambda: in_thread(lambda: _mend_pair(settings, machine)), SECONDS
            )
        )
    if not only_tls:
        now = machine.now()
        repairs.append(Look(".env", lambda: in_thread(lambda: mend_env_file(machine.env_file, now, language))))
    return await examine(repairs, language)


def _mend_pair(settings: Settings, machine: Machine) -> Sequence[Finding]:
    paths = PairPaths(settings.ssl_cert_path, settings.ssl_key_path, settings.ssl_ca_bundle_path)
    language = settings.operator_language
    seen = machine.examine_files(paths, [settings.api_domain], machine.now(), language)
    climbs = any(found.fixable and found.code in CLIMB_CODES for found in seen.findings)
    issuers = fetch_issuers(seen.pair.chain[-1], download) if climbs and seen.pair is not None else []
    return fixes(paths, seen, issuers, language)
