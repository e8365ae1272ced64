"""Messages whose owner's stored id was no chat id: which they are, and where they go once it is put right."""

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from app.db.tables import notifications


def unaddressed(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Find which of these notifications have no chat id; return the owner of each."""
    statement = select(notifications.c.id, notifications.c.owner_id).where(
        notifications.c.id.in_(ids), notifications.c.chat_id.is_(None)
    )
    return {row.id: row.owner_id for row in connection.execute(statement)}


def address(connection: Connection, row_id: int, chat_id: int | None) -> None:
    """Set where a notification goes."""
    connection.execute(update(notifications).where(notifications.c.id == row_id).values(chat_id=chat_id))
