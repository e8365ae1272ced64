"""Compares the names of a certificate with those that clients use."""

from collections.abc import Sequence

from app.doctor.finding import Finding
from app.doctor.tls.voice import say, say_doubt
from app.domain.language import Language
from app.tls.doubts import doubt_names, listed


def judge_names(held: Sequence[str], wanted: Sequence[str], language: Language, renewal: str) -> list[Finding]:
    """Name each of `wanted` that none of `held` (DNS names, wildcards, addresses) covers."""
    found = [say_doubt(doubt, language, command=renewal) for doubt in doubt_names(held, wanted)]
    return found or [say("names.ok", language, names=listed(held))]
