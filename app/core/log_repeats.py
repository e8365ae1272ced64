"""One cause, one traceback: what is raised again at the same place for the same reason is logged by one line."""

import re
import sys
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import Any

AGAIN_AFTER = 86_400.0  # s after which a cause that lasts is shown whole once more: files of a log rotate
CAUSES = 256  # remembered; the one that was quiet longest is forgotten, and then told whole again
WORDS = 300  # characters of the error's own words in a short line

_VALUES = re.compile(r"\"[^\"]*\"|'[^']*'|«[^»]*»|[0-9a-fA-F-]*\d[0-9a-fA-F-]*")  # what differs from row to row

Event = MutableMapping[str, Any]


class Repeats:
    """A structlog processor: leaves the first traceback of a cause, and makes a count of each later one.

    A cause is the name of the event, the types of the errors that led to each other, the line that raised each, and
    their words without values. In place of the traceback stand `error` (the error's own words) and `times` (how often
    it was logged, this time included). `elapsed` counts seconds and never goes back.
    """

    def __init__(self, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._elapsed = elapsed
        self._seen: OrderedDict[object, tuple[float, int]] = OrderedDict()  # when it was told whole, and the count

    def __call__(self, _logger: object, _method: str, event: Event) -> Event:
        """Take the traceback out of an event whose cause was told."""
        error = _error_of(event.get("exc_info"))
        if error is None:
            return event
        cause, now = (event.get("event"), *_places(error)), self._elapsed()
        told_at, times = self._seen.get(cause, (None, 0))
        is_news = told_at is None or now - told_at >= AGAIN_AFTER
        self._seen[cause] = (now if is_news or told_at is None else told_at, times + 1)
        self._seen.move_to_end(cause)
        if len(self._seen) > CAUSES:
            self._seen.popitem(last=False)
        if not is_news:
            del event["exc_info"]
            event["error"], event["times"] = f"{type(error).__name__}: {first_words(error)}"[:WORDS], times + 1
        return event

    def forget(self) -> None:
        """Tell every cause whole again."""
        self._seen.clear()


def first_words(error: BaseException) -> str:
    """Return the first line of an error's words; whatever its `str` does, nothing is raised."""
    try:
        return str(error).partition("\n")[0]
    except Exception:  # noqa: BLE001  a broken __str__ of a foreign object must not lose the event
        return ""


def _error_of(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple) and len(exc_info) > 1 and isinstance(exc_info[1], BaseException):
        return exc_info[1]
    if exc_info is True:
        return sys.exc_info()[1]
    return None


def _places(error: BaseException) -> tuple[object, ...]:
    places: list[object] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        last = None
        for frame, line in traceback.walk_tb(current.__traceback__):
            last = (frame.f_code.co_filename, line)
        places.append((type(current), last, _VALUES.sub("#", first_words(current)[:WORDS])))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return tuple(places)
