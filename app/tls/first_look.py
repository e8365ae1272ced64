"""The pair that a server begins with: made where there is none, put together, doubted; X.509 is loaded for it."""

from datetime import datetime

from app.domain.language import Language
from app.tls.certificates import ensure_pair
from app.tls.chain import put_together
from app.tls.doubts import doubts_about
from app.tls.pair_files import PairBroken, PairPaths, read_content
from app.tls.served import FirstLook


def first_look(paths: PairPaths, domain: str, now: datetime, language: Language) -> FirstLook | PairBroken:
    """Make a self-signed pair where there is none, and look at the pair; return what is wrong where it cannot serve."""
    try:
        was_made = ensure_pair(paths.cert, paths.key, domain, now, language)
        content = read_content(paths, language)
        pair = put_together(content, paths, language, now)
        return FirstLook(pair, content, doubts_about(pair, domain, now), was_made)
    except PairBroken as broken:  # not raised: it is sent to another process
        return broken
