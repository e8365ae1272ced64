"""Who may see the operator's pages: sessions, links that open one once, and addresses that failed too often.

Ids come in as sha256 in hex: what a cookie or a link holds is nowhere in the database. What has ended is removed
whenever somebody logs in, so that no chore is needed.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, delete, insert, or_, select, update
from sqlalchemy.engine import Connection

from app.db.engine import upsert_into
from app.db.tables import lockouts, login_links, operator_sessions

FAILURES = 5  # of one address, after which it waits
FORGOTTEN = timedelta(minutes=15)  # after the last failure


def open_session(
    connection: Connection, session_id: str, who: str, proof: str, *, now: datetime, ends_at: datetime, old: str | None
) -> None:
    """Open a session and end the one that the browser came with; forget what has ended."""
    connection.execute(
        delete(operator_sessions).where(or_(operator_sessions.c.ends_at <= now, operator_sessions.c.id == old))
    )
    connection.execute(delete(login_links).where(login_links.c.ends_at <= now))
    opened = insert(operator_sessions).values(id=session_id, who=who, proof=proof, opened_at=now, ends_at=ends_at)
    connection.execute(opened)


def find_session(connection: Connection, session_id: str, proofs: Sequence[str], now: datetime) -> str | None:
    """Return who opened the session, None where there is none. `proofs`: with what a session may have been opened."""
    columns = operator_sessions.c
    found = select(columns.who).where(columns.id == session_id, columns.ends_at > now, columns.proof.in_(proofs))
    return connection.execute(found).scalar_one_or_none()


def end_session(connection: Connection, session_id: str) -> None:
    """End a session on every replica."""
    connection.execute(delete(operator_sessions).where(operator_sessions.c.id == session_id))


def add_link(connection: Connection, link_id: str, who: str, ends_at: datetime) -> None:
    """Remember a link that opens one session."""
    connection.execute(insert(login_links).values(id=link_id, who=who, ends_at=ends_at))


def is_link(connection: Connection, link_id: str, now: datetime) -> bool:
    """Tell whether a link would open a session; whoever guesses costs no write."""
    known = select(login_links.c.id).where(login_links.c.id == link_id, login_links.c.ends_at > now)
    return connection.execute(known).first() is not None


def spend_link(connection: Connection, link_id: str, now: datetime) -> str | None:
    """Take a link for good; return who made it, None where it is unknown, spent or too old."""
    spent = (
        delete(login_links).where(login_links.c.id == link_id, login_links.c.ends_at > now).returning(login_links.c.who)
    )
    return connection.execute(spent).scalar_one_or_none()


def locked_until(connection: Connection, name: str, now: datetime) -> datetime | None:
    """Tell until when an address has to wait, None where it has not."""
    columns = lockouts.c
    until = select(columns.locked_until).where(columns.name == name, columns.locked_until > now)
    return connection.execute(until).scalar_one_or_none()


def add_failure(connection: Connection, name: str, now: datetime) -> int:
    """Count a failure of an address and return how many there were; from the fifth on it waits, longer each time."""
    columns = lockouts.c
    old = and_(columns.failed_at < now - FORGOTTEN, or_(columns.locked_until.is_(None), columns.locked_until < now))
    connection.execute(delete(lockouts).where(old))
    first = upsert_into(connection, lockouts).values(name=name, failures=1, failed_at=now)
    again = {"failures": columns.failures + 1, "failed_at": now}
    counted = first.on_conflict_do_update(index_elements=[columns.name], set_=again).returning(columns.failures)
    failures = connection.execute(counted).scalar_one()
    if failures >= FAILURES:
        wait = min(timedelta(minutes=1) * 2 ** min(failures - FAILURES, 10), FORGOTTEN)
        connection.execute(update(lockouts).where(columns.name == name).values(locked_until=now + wait))
    return int(failures)


def forget_failures(connection: Connection, name: str) -> None:
    """Let an address that has logged in begin anew."""
    connection.execute(delete(lockouts).where(lockouts.c.name == name))


def open_sessions(connection: Connection, proofs: Sequence[str], now: datetime) -> list[str]:
    """List the ids of sessions that have not ended."""
    columns = operator_sessions.c
    found = select(columns.id).where(columns.ends_at > now, columns.proof.in_(proofs))
    return list(connection.execute(found).scalars())
