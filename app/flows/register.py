"""A job that the bot submitted itself and tells us of → a row that is looked at as our own are."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta

import structlog

from app.db.engine import Connection, Database
from app.db.registered_jobs import Registration, register
from app.domain.errors import JobRefused
from app.flows.ports import Clock

log = structlog.get_logger("app.webhook")


@dataclass(eq=False, repr=False, slots=True)
class Register:
    """Puts jobs on record. `is_ours` tells whether fal's key may go to a URL; `after` is RECONCILE_AFTER.

    `knows_chat` tells whether somebody may be told in a chat; it is asked for kinds whose owner the bot names.
    """

    database: Database
    clock: Clock
    _: KW_ONLY
    is_ours: Callable[[str], bool]
    after: timedelta
    knows_chat: Callable[[Connection, int], bool]

    async def __call__(self, wanted: Registration) -> bool:
        """Put one job on record; tell whether it is new. Raises JobRefused, DatabaseUnavailable.

        The first registration stands. What we knew of the job before, from its row or its webhook, stays.
        """
        for url in (wanted.status_url, wanted.response_url):
            if url is not None and not self.is_ours(url):
                raise JobRefused(400, "foreign_url", "URLs must have the origin of FAL_QUEUE_URL: fal's key goes there")
        digest = wanted.digest()
        stands = await self.database.write(self._register, wanted)
        if stands is not None and stands != digest:
            raise JobRefused(409, "job_differs", "this request_id was registered with other fields; the first stands")
        if stands is None:
            log.info("job.registered", request_id=wanted.request_id, kind=wanted.kind, endpoint=wanted.endpoint)
        return stands is None

    def _register(self, connection: Connection, wanted: Registration) -> str | None:
        if wanted.chat_id is not None and not self.knows_chat(connection, wanted.chat_id):
            raise JobRefused(400, "chat_unknown", "chat_id is neither a users.telegram_id nor OPERATOR_CHAT_ID")
        now = self.clock.now()
        return register(connection, wanted, now=now, due_at=now + self.after)
