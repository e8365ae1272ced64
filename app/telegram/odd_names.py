r"""Names that are not plain words, made fit for one line: what is not seen goes, and a cut leaves characters whole.

Facts of Unicode: UAX #29 (grapheme clusters), UTS #51 (flags made of tags). A module of its own, imported with the
first such name: `regex` and these patterns take 10 ms of the start and 1.4 MiB.
"""

import regex

_SPACES = regex.compile(r"[\p{Cc}\p{Z}\u2800]+")  # controls, line ends, odd spaces, the empty Braille cell
# Marks that are not seen. Joiners stay, which Persian and families of emoji need; so do tags where they make a flag.
_UNSEEN = regex.compile(
    r"(\U0001F3F4[\U000E0020-\U000E007E]{1,16}\U000E007F)"
    r"|[[\p{Cf}\p{Cs}\p{Co}\u034F\u115F\u1160\u17B4\u17B5\u3164\uFFA0]--[\u200C\u200D]]",
    regex.V1,
)
_JOINERS = regex.compile(r"[\u200C\u200D]{2,}")
_SEEN = regex.compile(r"[^\p{Default_Ignorable_Code_Point}\p{Z}]")
_CLUSTER = regex.compile(r"\X")
_AT_ENDS = " \u200c\u200d"


def fit_line(name: str, limit: int) -> str:
    """Take out controls, bidi marks and what is not seen, and cut to `limit` code points; empty where nothing is."""
    line = _JOINERS.sub(lambda joiners: joiners[0][0], _UNSEEN.sub(r"\1", _SPACES.sub(" ", name)))
    line = _SPACES.sub(" ", line).strip(_AT_ENDS)
    return _cut(line, limit) if _SEEN.search(line) else ""


def _cut(line: str, limit: int) -> str:
    if len(line) <= limit:
        return line
    kept = 0
    for cluster in _CLUSTER.finditer(line):
        if cluster.end() > limit - 1:
            break
        kept = cluster.end()
    return (line[:kept].rstrip(_AT_ENDS) or line[: limit - 1]) + "…"
