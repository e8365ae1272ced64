"""How far a training is, from the lines that its trainer prints. Best effort: no decision rests on it.

Source: docs/fal.md. A bar counts only when its total is the number of steps of the training: captioning and downloads
draw bars, too.
"""

import re
from collections.abc import Iterable

LONGEST_LINE = 2_000  # characters looked at; a bar is far shorter
_BAR = re.compile(r"(?<![\d./])(\d{1,6})\s?/\s?(\d{1,6})(?![\d./])", re.ASCII)


def read_percent(messages: Iterable[str], steps: int | None) -> int | None:
    r"""Return the highest share of `steps` that a line shows, 0 to 99; None where none does beyond doubt.

    >>> read_percent(["Loaded 14 training samples", " 37%|3 | 925/2500 [03:10<05:24]\r 38%|3 | 950/2500 [03:15"], 2500)
    38
    >>> read_percent(["100%|##| 14/14 [00:06<00:00]"], 2500) is None
    True
    """
    if not steps or steps < 0:
        return None
    done = [
        int(at)
        for message in messages
        for part in message[-LONGEST_LINE:].split("\r")
        for at, total in _BAR.findall(part)
        if int(total) == steps and int(at) <= steps
    ]
    return min(max(done) * 100 // steps, 99) if done else None
