"""Why clients will refuse a pair that OpenSSL loads without an error."""

from datetime import datetime

from app.doctor.finding import Finding, Level
from app.doctor.tls.dates import judge_dates
from app.doctor.tls.keys import judge_keys
from app.doctor.tls.names import judge_names
from app.domain.language import Language
from app.tls.certificates import facts_of
from app.tls.chain import ServedPair


def doubts_about(pair: ServedPair, name: str, now: datetime, language: Language) -> list[Finding]:
    """Return what the doctor would fail of dates, names, keys and signatures, as they stand at `now` for `name`.

    Trust is not judged: reading every root takes a second, too long for a start.
    """
    facts = facts_of(pair.leaf, now)
    judged = (
        *judge_dates(pair.chain, now, language),
        *judge_names(facts.names, [name], language, ""),
        *judge_keys(pair.chain, facts.key_type, language, ""),
    )
    return [finding for finding in judged if finding.level is Level.FAIL]
