"""Escapes text that could break a line or send control sequences to a terminal."""

import re

# C0, DEL, C1, line and paragraph separators, invisible and bidirectional controls, tags, lone surrogates
UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    if char in _NAMED:
        return _NAMED[char]
    if code < 0x100:  # noqa: PLR2004 Python writes these with two digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 the end of the first plane


def one_line(text: str) -> str:
    r"""Write every control, bidirectional, invisible or surrogate character as an escape.

    >>> one_line("a\nb\x1b[31m")
    'a\\nb\\x1b[31m'
    """
    return text if text.isprintable() else UNSAFE.sub(_escape, text)


def quiet_json(text: str) -> str:
    """Write control characters as JSON escapes; the document stays the same, line feeds included."""
    if text.isprintable():
        return text
    return "\n".join(line if line.isprintable() else UNSAFE.sub(_json_escape, line) for line in text.split("\n"))


def _json_escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
