"""The event log of a run: what happened, when, to whom. Two runs of one seed have the same bytes."""

import hashlib
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from structlog import DropEvent

from tests.simulation.virtual_loop import OWNER

KEPT = 4000  # last lines that a failure can show


class Ledger:
    """Numbers, stamps and digests lines; `path` keeps all of them."""

    def __init__(self, time: Callable[[], float], path: Path | None = None) -> None:
        self._time = time
        self._digest = hashlib.sha256()
        self._file: IO[str] | None = None if path is None else path.open("w", encoding="utf-8")
        self.last: deque[str] = deque(maxlen=KEPT)
        self.lines = 0
        self.on_log: Callable[[str, dict[str, Any], object], None] = lambda *_: None

    def note(self, who: str, what: str) -> None:
        """Write one line."""
        line = f"{self._time():.6f} {who} {what}"
        self.lines += 1
        self.last.append(line)
        self._digest.update(line.encode("utf-8", "replace") + b"\n")
        if self._file is not None:
            self._file.write(line + "\n")

    def digest(self) -> str:
        """Return the digest of everything so far."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def hear(self, _logger: object, _level: str, event: dict[str, Any]) -> Any:
        """Take a line that the server logged (a processor of structlog)."""
        owner = OWNER.get()
        if owner is not None and not owner.is_dead:
            error = event.pop("exc_info", None)
            if error is True:
                error = sys.exc_info()[1]
            facts = " ".join(f"{name}={event[name]!r}" for name in sorted(event) if name != "event")
            why = f" error={error!r}" if isinstance(error, BaseException) else " error" if error else ""
            self.note(str(owner), f"log {event['event']} {facts}{why}")
            self.on_log(event["event"], event, error)
        raise DropEvent
