"""The owner's hours: which zone the bot's `users.timezone` means, and when it is night there."""

import re
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

BOTS_DEFAULT = "UTC+5"  # of every owner who chose none (docs/bot-database.md); Astana's
QUIET_FROM, QUIET_UNTIL = 23, 8  # hours of the owner's clock between which messages come without a sound
_WIDEST = timedelta(hours=14)
_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+\u2212-])\s*(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE | re.ASCII)
_ZERO = frozenset({"utc", "gmt", "z"})


@lru_cache(256)
def read_zone(raw: str) -> tzinfo:
    """Read `UTC+5`, `GMT-03:30`, `+6` or `Asia/Almaty`; whatever else stands there means the bot's default.

    >>> str(read_zone("UTC+5")), str(read_zone("-3:30")), str(read_zone("the moon"))
    ('UTC+05:00', 'UTC-03:30', 'UTC+05:00')
    """
    name = raw.strip()
    if name.lower() in _ZERO:
        return timezone(timedelta(0))
    if (found := _OFFSET.fullmatch(name)) is not None:
        sign, hours, minutes = found.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
        if offset <= _WIDEST:
            return timezone(offset if sign == "+" else -offset)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no such zone, no such name, a folder of zones
        return _DEFAULT


def is_default(raw: str) -> bool:
    """Tell whether a zone is the bot's own, which its owner need not know of."""
    return read_zone(raw) == _DEFAULT


def is_night(raw: str, now: datetime) -> bool:
    """Tell whether an owner's clock stands between QUIET_FROM and QUIET_UNTIL."""
    hour = now.astimezone(read_zone(raw)).hour
    return hour >= QUIET_FROM or hour < QUIET_UNTIL


_DEFAULT = timezone(timedelta(hours=5))
