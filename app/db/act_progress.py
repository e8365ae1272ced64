"""How far acts on many rows are, as every replica sees it: lines of the history, written with each batch."""

from dataclasses import asdict, dataclass, fields
from datetime import datetime

import orjson
from sqlalchemy import select
from sqlalchemy.engine import Connection

from app.db import events
from app.db.tables import events as lines
from app.domain.history import Event, EventKind


@dataclass(frozen=True, slots=True)
class ActProgress:
    """`done` of `total` rows are gone through, `changed` of them were changed. `is_stopped`: the rest is left alone."""

    operation: str
    queue: str
    done: int
    total: int
    changed: int
    is_stopped: bool = False

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more is to come."""
        return self.is_stopped or self.done >= self.total


def went_on(connection: Connection, name: str, progress: ActProgress, now: datetime) -> None:
    """Note how far the act of this name is."""
    why = orjson.dumps(asdict(progress)).decode()
    events.note(connection, [Event(now, EventKind.ACT.value, attempt=progress.done, reason=name, why=why)])


def stop(connection: Connection, name: str, who: str, now: datetime) -> bool:
    """Have an act stop before its next batch, wherever it is gone through; False where none of this name is known."""
    if read(connection, name) is None:
        return False
    events.note(connection, [Event(now, EventKind.STOPPED.value, reason=name, why=who)])
    return True


def is_stopped(connection: Connection, name: str) -> bool:
    """Tell whether somebody had the act of this name stopped."""
    found = select(lines.c.id).where(lines.c.kind == EventKind.STOPPED.value, lines.c.reason == name).limit(1)
    return connection.execute(found).first() is not None


def read(connection: Connection, name: str) -> ActProgress | None:
    """Read how far the act of this name is; None where there is none, or retention has it forgotten."""
    noted = select(lines.c.why).where(lines.c.kind == EventKind.ACT.value, lines.c.reason == name)
    last = connection.execute(noted.order_by(lines.c.at.desc(), lines.c.id.desc()).limit(1)).scalar()
    if last is None:
        return None
    found = orjson.loads(last)
    return ActProgress(**{field.name: found[field.name] for field in fields(ActProgress)})
