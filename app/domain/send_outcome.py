"""What became of one try to tell an owner."""

from dataclasses import dataclass
from datetime import timedelta

LONGEST_WAIT = timedelta(days=1)  # Telegram asks for minutes, so a longer wait is damage: of its answer or of our clock


@dataclass(frozen=True, slots=True)
class Sent:
    """Telegram accepted the message. `chat_id` differs from the one asked for when the group migrated."""

    message_id: int
    chat_id: int


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The owner cannot be reached until they come back. `blocked` when it is they who left (403)."""

    why: str
    blocked: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """Telegram will never take this message."""

    why: str


@dataclass(frozen=True, slots=True)
class SlowDown:
    """429: wait exactly `seconds`; not a failure."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Uncertain:
    """The request left and no answer came: the message may have been delivered."""

    why: str


@dataclass(frozen=True, slots=True)
class Down:
    """Nothing was delivered and a later try may succeed."""

    why: str


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """401 or 404: the bot token is wrong or revoked; sending stops until the operator mends it."""

    why: str


@dataclass(frozen=True, slots=True)
class NoToken:
    """No token is configured: the message was written to the log instead."""

    text: str


SendOutcome = Sent | Unreachable | Rejected | SlowDown | Uncertain | Down | TokenRefused | NoToken
