"""Wording of the progress message: one line, and a bar below it where a percentage is known. No I/O."""

from functools import lru_cache

from app.domain.message import Message
from app.domain.owner_zone import is_default, read_zone
from app.domain.progress import IN_HOURS, ProgressLine, ProgressMessage, spell_usual
from app.telegram.catalogs import Catalogs
from app.telegram.names import shown_name
from app.telegram.wording import Frame, frame_of, label

CELLS = 10  # of a bar
_KEYS = {ProgressLine.TROUBLE_OURS: "trouble_ours.text"}


def word_progress(progress: ProgressMessage, catalogs: Catalogs) -> Message:
    """Say how far a training is, in its owner's language. Comes without a sound and has no buttons."""
    name, language, line = shown_name(progress.name), progress.owner.language, progress.line
    unit, count, time = "", 0, ""
    if line.kind is ProgressLine.AT_WORK:
        unit, count = spell_usual(line.usual or IN_HOURS / 6)
    if line.until is not None:
        zone = progress.owner.timezone
        time = f"{line.until.astimezone(read_zone(zone)):%H:%M}"
        if is_default(zone):
            time = f"{time} {catalogs.of(language).gettext('progress.zone')}"
    frame = _frame(catalogs, language, line.kind, unit, count, is_named=bool(name))
    message = frame.around(name, "")
    below = "" if line.percent is None else f"\n{bar(line.percent)}"
    return Message(_with_time(message.html, time) + below, _with_time(message.plain, time) + below, is_silent=True)


def bar(percent: int) -> str:
    """Draw a percentage.

    >>> bar(47)
    '▓▓▓▓░░░░░░ 47%'
    """
    full = percent * CELLS // 100
    return f"{'▓' * full}{'░' * (CELLS - full)} {percent}%"


@lru_cache(512)
def _frame(catalogs: Catalogs, language: str, line: ProgressLine, unit: str, count: int, *, is_named: bool) -> Frame:
    words, titled = catalogs.of(language), label(catalogs, language, is_named=is_named)
    if line is ProgressLine.AT_WORK:
        key = f"progress.at_work.{unit}"
        return frame_of(words.ngettext(key, key, count).format(label=titled, n=count), "", (), is_bold=False)
    text = words.gettext(_KEYS.get(line, f"progress.{line}"))
    return frame_of(text.format(label=titled, time=_TIME), "", (), is_bold=False)


_TIME = "\ue000"  # stands for the moment in a frame; private use, so no name that is shown holds it


def _with_time(text: str, time: str) -> str:
    return text.replace(_TIME, time)
