"""Our key in what fal says: some services echo the header that they refuse, and answers are kept."""

import re

REPLACEMENT = "[key]"
SHORTEST = 8  # characters; less is no secret, and would tear holes into other words

_ANY_KEY = re.compile(r"\bKey\s+[^\s:\"']+:[^\s\"',;]+", re.IGNORECASE)


def key_pattern(key: str) -> re.Pattern[bytes] | None:
    """Compile what finds `id:secret`, or the secret alone, in JSON text, whichever way its characters are written.

    None for a key that is too short to be one.
    """
    parts = dict.fromkeys(part for part in (key, key.partition(":")[2]) if len(part) >= SHORTEST)
    return re.compile(b"|".join(b"".join(map(_spellings, part)) for part in parts)) if parts else None


def without_key(text: bytes, pattern: re.Pattern[bytes]) -> bytes:
    """Return JSON text without the key that `pattern` finds."""
    return pattern.sub(REPLACEMENT.encode(), text)


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
