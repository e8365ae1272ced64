"""What the doctor may mend by itself: each repair is safe, keeps the former file, and says what it did."""

import math
from collections.abc import Sequence

from app.catalog import translate
from app.core.config import Settings
from app.doctor.cert_paths import FETCH_SECONDS, missing_issuers, names_of, paths_of
from app.doctor.examine import Look, examine, in_thread
from app.doctor.finding import Finding
from app.doctor.host.envfile import mend_env_file
from app.doctor.host.unit import reader_of
from app.doctor.machine import Machine
from app.doctor.tls.aia import Issuers
from app.doctor.tls.examination import Examined
from app.doctor.tls.repair import fixes
from app.domain.language import msgid

FILE_SECONDS = 60.0  # reading every public root takes a second on a slow machine
# Writing has no deadline: a thread cannot be stopped, and would go on after its look was reported as late.
NO_DEADLINE = math.inf


async def mend(settings: Settings, machine: Machine, *, only_tls: bool) -> list[Finding]:
    """Mend the certificate's files and, unless `only_tls`, `.env`; return what was done or refused. Raises nothing."""
    language = settings.operator_language
    done = await _mend_pair(settings, machine) if settings.ssl_enabled else []
    if not only_tls:
        now = machine.now()
        mending = Look(".env", lambda: in_thread(lambda: mend_env_file(machine.env_file, now, language)), NO_DEADLINE)
        done += await examine([mending], language)
    return done


async def _mend_pair(settings: Settings, machine: Machine) -> list[Finding]:
    """Fetch missing issuers with a deadline; unless that failed, repair the files without one."""
    paths, language = paths_of(settings), settings.operator_language
    subject = translate(msgid("certificate"), language)
    fetched: list[tuple[Examined, Issuers]] = []

    def look() -> tuple[Examined, Issuers]:
        seen = machine.examine_files(paths, names_of(settings), machine.now(), language)
        return seen, missing_issuers(seen, machine.now())

    async def fetch() -> Sequence[Finding]:
        fetched.append(await in_thread(look))
        return []

    async def repair() -> Sequence[Finding]:
        [(seen, issuers)] = fetched
        return await in_thread(lambda: fixes(paths, seen, issuers, language, reader_of()))

    trouble = await examine([Look(subject, fetch, FILE_SECONDS + FETCH_SECONDS)], language)
    return trouble or await examine([Look(subject, repair, NO_DEADLINE)], language)
