"""The nonce of a submission: what our webhook's address says of the job, so that a lost answer can be joined."""

import re

PARAMETER = "job"  # of our webhook's URL
LENGTH = 32  # hex digits: 128 bits, which nobody guesses

_NONCE = re.compile(rb"(?:^|&)job=([0-9a-f]{32})(?:&|$)")


def nonce_of(query: bytes) -> str | None:
    """Read the nonce out of the query of a webhook's request; None where there is none.

    >>> nonce_of(b"training_type=style&job=" + b"a" * 32) == "a" * 32, nonce_of(b"job=../etc"), nonce_of(b"")
    (True, None, None)
    """
    if b"job=" not in query:
        return None
    found = _NONCE.search(query)
    return None if found is None else found[1].decode()
