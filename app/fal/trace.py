"""The trace that fal's repeats carry: by its id fal finds in its own log what became of a delivery.

Source: W3C Trace Context, level 1 (https://www.w3.org/TR/trace-context/).
fal's first attempt carries none (docs/fal.md).
"""

import re

from app.domain.delivery import TRACEPARENT

HEADER = TRACEPARENT.encode()
_FORM = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def read_traceparent(value: bytes | None) -> str | None:
    """Return a header's value where it has the form of the standard, else None: what anybody sent is not kept.

    >>> read_traceparent(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    >>> read_traceparent(b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01") is read_traceparent(None) is None
    True
    """
    return value.decode() if value is not None and _FORM.fullmatch(value) is not None else None
