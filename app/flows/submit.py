"""A training that is wanted → a row of ours → fal, once → the request id in our row and the avatar's.

The row is there before fal is asked. Whatever happens afterwards, a lost answer or the end of this process, leaves a
row that says so, and nothing sends it again: `sweep` and fal's webhook join it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import KW_ONLY, asdict, dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import orjson
import structlog

from app.db import job_facts, submissions
from app.db.engine import Connection, Database
from app.db.submissions import UNKNOWN, Hindrance, OnRecord, Unwritable
from app.db.trainings import BotTables
from app.domain.errors import DatabaseUnavailable, JobRefused
from app.domain.look import Trouble
from app.domain.submission import PRESETS, Submission, arguments, cost, default_trigger, webhook_address
from app.domain.submit_outcome import AnswerLost, NotTaken, SubmitOutcome, Submitted
from app.domain.trainer import Trainer
from app.flows.ports import Clock, FalDesk

log = structlog.get_logger("app.webhook")

UNDER_WAY = timedelta(seconds=60)  # fal answers within 15 s or never; then the row is a lost answer's
FIRST_LOOK = timedelta(seconds=10)  # after a lost answer: fal's list may lag
STATUSES = {Trouble.ACCOUNT_LOCKED: 402, Trouble.FAL_ODD: 400}
ELSE = 503
CODES = {
    Trouble.ACCOUNT_LOCKED: "account_exhausted",
    Trouble.NO_FAL_KEY: "no_fal_key",
    Trouble.FAL_KEY_REFUSED: "fal_key_refused",
    Trouble.RATE_LIMITED: "fal_unavailable",
    Trouble.FAL_DOWN: "fal_unavailable",
    Trouble.FAL_ODD: "fal_refused",
}
LOST = "fal may have taken it: it is looked for and never sent again by itself; `aisha-webhook jobs list` shows it"


@dataclass(frozen=True, slots=True)
class WantedTraining:
    """A training as it was asked for. `photos_url` is handed to fal unread."""

    avatar_id: str
    photos_url: str
    trainer: Trainer
    key: str
    trigger: str | None = None
    steps: int | None = None
    photos_digest: str | None = None  # of photos that are uploaded anew each time, so that their address says nothing

    def digest(self) -> str:
        """Identify what is wanted: the same again under one key is no other training."""
        said = asdict(self)
        if self.photos_digest is not None:
            del said["photos_url"]
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(eq=False, repr=False, slots=True)
class Submit:
    """Submits trainings. `endpoint_of` and `webhook` tell where to and where its result goes; `nonce` makes 128 bits.

    `most` is TRAINING_MAX_USD, `after` RECONCILE_AFTER.
    """

    database: Database
    tables: BotTables
    fal: FalDesk
    clock: Clock
    _: KW_ONLY
    endpoint_of: Callable[[Trainer], str]
    webhook: str
    nonce: Callable[[], str]
    most: float
    after: timedelta

    async def __call__(self, wanted: WantedTraining) -> str:
        """Submit one training; return fal's request id, for the same key always the same.

        Raises JobRefused: 400, 402, 404, 409, 424 where fal may have it, 503; and DatabaseUnavailable while nothing was
        sent.
        """
        _check_address(wanted.photos_url)
        there = await self.database.read(submissions.find, wanted.key)
        if there is not None:
            return self._repeated(wanted, there)
        endpoint = self.endpoint_of(wanted.trainer)
        preset = PRESETS.get(endpoint)
        if preset is None:
            known = ", ".join(PRESETS)
            raise JobRefused(400, "trainer_unsupported", f"nothing is known of {endpoint}; known are: {known}")
        steps = preset.steps if wanted.steps is None else wanted.steps
        await self._check_price(endpoint, steps)
        new = Submission(
            wanted.key,
            wanted.digest(),
            self.nonce(),
            wanted.avatar_id,
            wanted.trainer,
            endpoint,
            steps,
            wanted.trigger or default_trigger(wanted.avatar_id),
            hashlib.sha256(wanted.photos_url.encode()).hexdigest(),
        )
        begun = await self._begin(wanted, new)
        if isinstance(begun, str):
            return begun
        given = arguments(preset, wanted.photos_url, trigger=new.trigger, steps=steps, trainer=wanted.trainer)
        said = await self.fal.submit(endpoint, given, webhook_address(self.webhook, wanted.trainer, new.nonce))
        return await self._settle(begun, said)

    async def _begin(self, wanted: WantedTraining, new: Submission) -> int | str:
        """Put it on record; return the row's id, or the request id that another submission of the same key has got."""
        now = self.clock.now()
        begun = await self.database.write(submissions.begin, self.tables, new, now=now, until=now + UNDER_WAY)
        match begun:
            case int(row_id):
                log.info("submission.begun", subject=new.subject, endpoint=new.endpoint, job=row_id)
                return row_id
            case OnRecord():  # of two at once the other was first
                return self._repeated(wanted, begun)
            case Hindrance.AVATAR_UNKNOWN:
                raise JobRefused(404, "avatar_unknown", "there is no avatar with this id")
            case Hindrance.OTHER_TYPE:
                raise JobRefused(400, "malformed", "type: the avatar is of the other type")
            case Unwritable(columns):
                text = f"nothing was sent: GRANT UPDATE ({', '.join(columns)}) ON avatars TO this server's role"
                raise JobRefused(503, "row_not_writable", text)
        raise JobRefused(409, "at_work", "fal works on this avatar, or may: see `aisha-webhook jobs list`")

    def _repeated(self, wanted: WantedTraining, there: OnRecord) -> str:
        """Answer for what is on record under the key."""
        if there.digest != wanted.digest():
            raise JobRefused(409, "key_reused", "this idempotency_key stands for another training")
        if there.request_id is not None:
            return there.request_id
        if there.reason != UNKNOWN and there.due_at > self.clock.now():
            raise JobRefused(409, "at_work", "a submission with this idempotency_key is under way")
        raise JobRefused(424, "submit_unknown", LOST)

    async def _check_price(self, endpoint: str, steps: int) -> None:
        price = await self.fal.price(endpoint)
        dollars = None if price is None else cost(price, steps)
        if dollars is None:
            log.warning("submission.price_unknown", endpoint=endpoint, unit=None if price is None else price.unit)
        elif dollars > self.most:
            text = f"it would cost {dollars:.2f} USD, and TRAINING_MAX_USD is {self.most:g}"
            raise JobRefused(400, "too_expensive", text)

    async def _settle(self, row_id: int, said: SubmitOutcome) -> str:
        now = self.clock.now()
        try:
            await self.database.write(self._write, row_id, said, now)
        except DatabaseUnavailable:
            log.exception("submission.not_recorded", job=row_id)
            if not isinstance(said, NotTaken):
                raise JobRefused(424, "submit_unknown", LOST) from None
        match said:
            case Submitted(request_id):
                log.info("submission.taken", request_id=request_id, job=row_id)
                return request_id
            case AnswerLost(detail):
                log.error("submission.answer_lost", job=row_id, detail=detail)
                raise JobRefused(424, "submit_unknown", LOST)
            case NotTaken(trouble, detail):
                log.error("submission.not_taken", job=row_id, why=trouble, detail=detail)
                raise refusal_for(trouble, detail)

    def _write(self, connection: Connection, row_id: int, said: SubmitOutcome, now: datetime) -> None:
        match said:
            case Submitted():
                due_at = now + self.after
                submissions.answered(connection, self.tables, row_id, said, now=now, due_at=due_at)
                job_facts.served(connection, now)
            case AnswerLost(detail):
                submissions.lost(connection, row_id, detail, due_at=now + FIRST_LOOK)
            case NotTaken(trouble, detail):
                submissions.not_taken(connection, row_id, trouble, detail, now)


def refusal_for(trouble: Trouble, detail: str) -> JobRefused:
    """Word for the caller why fal has not done what was asked."""
    return JobRefused(STATUSES.get(trouble, ELSE), CODES[trouble], detail)


def _check_address(url: str) -> None:
    """Take an https address that says of nobody who they are; whether fal can fetch it, fal says. Raises JobRefused."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        port, host, parts = None, None, urlsplit("")
    if parts.scheme != "https" or not host or "@" in parts.netloc or port == 0:
        raise JobRefused(400, "malformed", "images_url: an https address of a zip, without a user name")
