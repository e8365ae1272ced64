"""Our secrets in what fal says: some services echo the header that they refuse, and what fal says is kept."""

import re
from collections.abc import Iterable

REPLACEMENT = "[key]"
SHORTEST_OTHER = 12  # of a secret that fal never gets: a password such as "postgres" would tear holes into words
SHORTEST = 8  # characters; less is no secret, and would tear holes into other words

_ESCAPES = (b"\\u", b"\\/", b"%")  # without one of them a secret stands as it is
_ANY_KEY = re.compile(r"\bKey\s+[^\s:\"']+:[^\s\"',;]+", re.IGNORECASE)


class Scrub:
    """Takes every secret of ours out of JSON text, whichever way its characters are written.

    `fal_key` is sent to fal, `others` are not: of those, one shorter than 12 characters stays, since it may be a word.
    """

    def __init__(self, fal_key: str | None, others: Iterable[str] = ()) -> None:
        parts = [part for part in (fal_key, (fal_key or "").partition(":")[2]) if part and len(part) >= SHORTEST]
        parts += [secret for secret in others if len(secret) >= SHORTEST_OTHER]
        longest_first = sorted(dict.fromkeys(parts), key=len, reverse=True)
        self._signs = (*_ESCAPES, *(part.encode("utf-8", "replace") for part in longest_first))
        spelled = (b"".join(map(_spellings, part)) for part in longest_first)
        self._pattern = re.compile(b"|".join(spelled)) if longest_first else None

    def __call__(self, text: bytes) -> bytes:
        """Return the text without secrets; the same object where there are none."""
        if self._pattern is None:
            return text
        for sign in self._signs:  # a loop: every delivery comes through here, and any() makes a generator
            if sign in text:
                return self._pattern.sub(REPLACEMENT.encode(), text)
        return text


def without_any_key(text: str) -> str:
    """Return a text without `Key id:secret`, whosever it is."""
    return _ANY_KEY.sub(f"Key {REPLACEMENT}", text) if ":" in text else text


def _spellings(character: str) -> bytes:
    plain = re.escape(character.encode("utf-8", "replace"))
    code = f"{ord(character):04x}"
    escaped = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in code)
    ways = [plain, rf"\\u{escaped}".encode()]
    if character.isascii():
        ways.append(f"(?i:%{ord(character):02x})".encode())
    if character == "/":
        ways.append(rb"\\/")
    return b"(?:%b)" % b"|".join(ways)
