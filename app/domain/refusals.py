"""What was not taken, and why: the last refusals of one process, for the operator. No body, no header but fal's id."""

from collections import deque
from datetime import datetime
from typing import NamedTuple

KEPT = 200  # refusals; a flood of one address gets at most ten a minute in (LineQuota)


class Refusal(NamedTuple):
    """One request that was not taken.

    `code` is the stable name of the reason (docs/errors.md), `detail` one sentence of what was met. `request_id` is
    what the caller's header named: nobody has proved it. `address` None: the caller has none, or hides it.
    """

    at: datetime
    code: str
    status: int
    address: str | None
    detail: str
    request_id: str | None = None


class Refusals:
    """The last refusals, the newest first to be read."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept: deque[Refusal] = deque(maxlen=kept)

    def add(self, refusal: Refusal) -> None:
        """Keep one more; beyond the limit the oldest is forgotten."""
        self._kept.append(refusal)

    def recent(self) -> tuple[Refusal, ...]:
        """Return what is kept, the newest first."""
        return tuple(reversed(self._kept))
