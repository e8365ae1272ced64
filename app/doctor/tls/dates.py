"""The dates of a chain: renewal is overdue long before a client refuses."""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509

from app.doctor.finding import Finding
from app.doctor.tls.voice import say, say_doubt
from app.domain.alert_rules import CRITICAL_LEFT, WARN_LEFT
from app.domain.language import Language
from app.tls.certificates import is_in_season
from app.tls.doubts import doubt_dates, lifetime, share_left


def judge_dates(
    chain: Sequence[x509.Certificate], now: datetime, language: Language, renewal: str = ""
) -> list[Finding]:
    """Judge the leaf's lifetime at `now`, and whether an intermediate has expired; `renewal` is what to run."""
    leaf = chain[0]
    # Renewing does not help against a date that has not come yet: there the catalogue's own command stands.
    found = [
        say_doubt(doubt, language, command=None if doubt.code == "dates.not_yet_valid" else renewal)
        for doubt in doubt_dates(chain, now)
    ]
    left = share_left(leaf, now)
    if not is_in_season(leaf, now) or left <= CRITICAL_LEFT:
        return found
    shown = lifetime(leaf, now)
    if left <= WARN_LEFT:
        return [say("dates.ends_soon", language, command=renewal, **shown), *found]
    return [say("dates.ok", language, **shown), *found]
