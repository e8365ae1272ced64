"""The dates of a chain: renewal is overdue long before a client refuses."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cryptography import x509

from app.doctor.finding import Finding
from app.doctor.tls.chain import subject_of
from app.doctor.tls.voice import say
from app.domain.alert_rules import CRITICAL_LEFT, WARN_LEFT
from app.domain.language import Language


def judge_dates(
    chain: Sequence[x509.Certificate], now: datetime, language: Language, renewal: str = ""
) -> list[Finding]:
    """Judge the leaf's lifetime at `now`, and whether an intermediate has expired; `renewal` is what to run."""
    leaf = chain[0]
    since, until = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    left = until - now
    share = left / (until - since) if until > since else 0
    shown: dict[str, Any] = {"until": _day(until), "since": _day(since), "days": left.days}
    if now < since:
        finding = say("dates.not_yet_valid", language, **shown)
    elif now > until:
        finding = say("dates.expired", language, command=renewal, **shown)
    elif share <= CRITICAL_LEFT:
        finding = say("dates.ends_now", language, command=renewal, **shown)
    elif share <= WARN_LEFT:
        finding = say("dates.ends_soon", language, command=renewal, **shown)
    else:
        finding = say("dates.ok", language, **shown)
    expired = [
        say(
            "dates.issuer_expired",
            language,
            command=renewal,
            subject=subject_of(issuer),
            until=_day(issuer.not_valid_after_utc),
        )
        for issuer in chain[1:]
        if now > issuer.not_valid_after_utc
    ]
    return [finding, *expired]


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
