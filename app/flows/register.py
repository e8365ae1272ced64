"""A job that the bot submitted itself and tells us of → a row that is looked at as our own are."""

import hashlib
from collections.abc import Callable
from dataclasses import KW_ONLY, asdict, dataclass
from datetime import timedelta

import orjson
import structlog

from app.db.engine import Connection, Database
from app.db.registered_jobs import Registered, register
from app.domain.errors import JobRefused
from app.domain.job import JobKind
from app.flows.ports import Clock

log = structlog.get_logger("app.webhook")


@dataclass(frozen=True, slots=True)
class Registration:
    """What the bot says of a job, as it came. URLs are fal's own answers; `steps` are those of the training."""

    request_id: str
    kind: JobKind
    endpoint: str
    status_url: str | None = None
    response_url: str | None = None
    subject_id: str | None = None
    steps: int | None = None
    chat_id: int | None = None
    language: str | None = None

    def digest(self) -> str:
        """Identify the registration: the same again is no other one."""
        said = asdict(self)
        if self.kind is JobKind.TRAINING:  # says nothing of where it is told
            del said["chat_id"], said["language"]
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True, slots=True)
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
        stands = await self.database.write(self._register, wanted, digest)
        if stands is not None and stands != digest:
            raise JobRefused(409, "job_differs", "this request_id was registered with other fields; the first stands")
        if stands is None:
            log.info("job.registered", request_id=wanted.request_id, kind=wanted.kind, endpoint=wanted.endpoint)
        return stands is None

    def _register(self, connection: Connection, wanted: Registration, digest: str) -> str | None:
        if wanted.chat_id is not None and not self.knows_chat(connection, wanted.chat_id):
            raise JobRefused(400, "chat_unknown", "chat_id is neither a users.telegram_id nor OPERATOR_CHAT_ID")
        now = self.clock.now()
        return register(
            connection,
            Registered(
                wanted.request_id,
                wanted.kind,
                wanted.endpoint,
                digest,
                wanted.status_url,
                wanted.response_url,
                wanted.subject_id,
                wanted.steps,
                wanted.chat_id,
                wanted.language,
            ),
            now=now,
            due_at=now + self.after,
        )
