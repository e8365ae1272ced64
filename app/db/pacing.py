"""Telegram's budget, shared by every replica and kept over restarts: one row per bucket says when the next slot is.

A wait that Telegram asked for (429) stands in a row of its own, because only such a wait may be hours long. A row
further ahead than its limit was written while a clock was wrong, and holds nothing back. The limits: a little over a
minute for a slot or a rest of ours, LONGEST_WAIT for a wait that Telegram asked for.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.engine import Connection

from app.db.engine import upsert_into
from app.db.many import is_among, one_parameter
from app.db.tables import slots
from app.domain.send_outcome import LONGEST_WAIT
from app.domain.send_policy import REPLICA_SKEW, TOKEN_PAUSE

BOT = "bot"
ASKED = ":asked"  # ends the bucket of a wait that Telegram asked for; sorts behind the bucket that it belongs to
UNPACED = 1_000_000  # slots where there is no rate
CHAT_INTERVAL = timedelta(seconds=1)  # Bot FAQ: avoid more than one message per second in one chat


def _chat(chat_id: int) -> str:
    return f"chat:{chat_id}"


def take_slots(
    connection: Connection, chats: Sequence[int], *, now: datetime, horizon: timedelta, rate: float
) -> tuple[dict[int, datetime], dict[int, datetime]]:
    """Hand out a slot to each chat of the list, in order.

    Returns (granted, put back), both by position in `chats`: when to send, and when to ask again.
    `rate` is messages per second for the whole bot; 0 means unpaced, and then only a pause holds anything back.
    """
    if rate:  # a row that is not there cannot be locked
        row = upsert_into(connection, slots).values(bucket=BOT, next_at=now)
        connection.execute(row.on_conflict_do_nothing())
    step = timedelta(seconds=1 / rate) if rate else timedelta()
    rest = CHAT_INTERVAL if rate else timedelta()
    ahead = _furthest(horizon, step)
    # Locking the bot's row first makes replicas take turns, so a chat's row cannot be missed while it is being made.
    free = _next_slots(connection, [BOT], now=now, ahead=ahead)
    free |= _next_slots(connection, sorted({_chat(chat) for chat in chats}), now=now, ahead=ahead)
    granted: dict[int, datetime] = {}
    put_back: dict[int, datetime] = {}
    for position, chat_id in enumerate(chats):
        bot_slot, chat_slot = free[BOT], free[_chat(chat_id)]
        if chat_slot > bot_slot or bot_slot > now + horizon:
            put_back[position] = max(chat_slot, bot_slot)
            continue
        granted[position] = bot_slot
        free[BOT] = bot_slot + step
        free[_chat(chat_id)] = bot_slot + rest
    if granted and rate:
        used = {BOT} | {_chat(chats[position]) for position in granted}
        _store(connection, {bucket: free[bucket] for bucket in used})
    return granted, put_back


def free_slots(connection: Connection, *, now: datetime, horizon: timedelta, rate: float) -> int:
    """Count the slots that can be handed out within the horizon: whoever claims more must put rows back out of turn.

    None are free while the whole bot rests; without a rate the rest is the only limit.
    """
    step = timedelta(seconds=1 / rate) if rate else timedelta()
    free = _next_slots(connection, [BOT], now=now, ahead=_furthest(horizon, step))
    left = (now + horizon - free[BOT]).total_seconds()
    if left <= 0:
        return 0
    return max(1, int(left * rate)) if rate else UNPACED


def pause(connection: Connection, chat_id: int | None, until: datetime, *, asked: bool = False) -> None:
    """Grant no slot to this chat (None: to anybody) before `until`. A longer pause already in force stays.

    `asked`: Telegram named the end, at most LONGEST_WAIT ahead; a rest of our own choice is TOKEN_PAUSE at most.
    Where several pauses are made in one connection, the bot's come first: `take_slots` locks in that order.
    """
    bucket = BOT if chat_id is None else _chat(chat_id)
    longest = LONGEST_WAIT if asked else TOKEN_PAUSE
    bucket += ASKED if asked else ""
    current = (_stored(connection, [bucket])).get(bucket, until)
    if not until < current <= until + longest:
        _store(connection, {bucket: until})


def _furthest(horizon: timedelta, step: timedelta) -> timedelta:
    """How far ahead of now a row may lie that Telegram did not ask for: a slot, or a rest of ours."""
    return max(horizon + max(step, CHAT_INTERVAL), TOKEN_PAUSE)


def _next_slots(
    connection: Connection, buckets: Sequence[str], *, now: datetime, ahead: timedelta
) -> dict[str, datetime]:
    """When each bucket is free again, at the earliest now; its rows stay locked."""
    stored = _stored(connection, [name for bucket in buckets for name in (bucket, bucket + ASKED)])
    return {
        bucket: max(
            _believed(stored.get(bucket, now), now, ahead),
            _believed(stored.get(bucket + ASKED, now), now, LONGEST_WAIT),
        )
        for bucket in buckets
    }


def _believed(next_at: datetime, now: datetime, ahead: timedelta) -> datetime:
    return next_at if now < next_at <= now + ahead + REPLICA_SKEW else now


def _stored(connection: Connection, buckets: Sequence[str]) -> dict[str, datetime]:
    rows = connection.execute(_among(connection.dialect.name), {"buckets": one_parameter(connection, buckets)})
    return {row.bucket: row.next_at for row in rows}


@cache
def _among(dialect: str) -> Select[*tuple[Any, ...]]:
    wanted = is_among(slots.c.bucket, "buckets", dialect)
    return select(slots.c.bucket, slots.c.next_at).where(wanted).order_by(slots.c.bucket).with_for_update()


def _store(connection: Connection, next_at: dict[str, datetime]) -> None:
    statement = upsert_into(connection, slots)
    statement = statement.on_conflict_do_update(index_elements=["bucket"], set_={"next_at": statement.excluded.next_at})
    connection.execute(statement, [{"bucket": bucket, "next_at": at} for bucket, at in sorted(next_at.items())])


def free_budget(connection: Connection, bucket: str, *, now: datetime, horizon: timedelta, rate: float) -> int:
    """Tell how much of a budget of `rate` per second, which all replicas share, may be spent within the horizon."""
    step = timedelta(seconds=1 / rate)
    next_at = _believed(_stored(connection, [bucket]).get(bucket, now), now, horizon + step)
    return max(0, int((now + horizon - next_at) / step))


def spend_budget(
    connection: Connection, bucket: str, spent: int, *, now: datetime, horizon: timedelta, rate: float
) -> None:
    """Take so much out of a budget; it fills again by `rate` per second."""
    step = timedelta(seconds=1 / rate)
    next_at = _believed(_stored(connection, [bucket]).get(bucket, now), now, horizon + step)
    _store(connection, {bucket: next_at + spent * step})
