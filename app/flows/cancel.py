"""A training that is not wanted any more → fal is asked once to cancel it. What becomes of it, its result says.

Nothing of the job or of the avatar is changed here: a finished job stays what it is, and a cancelled one ends as every
other does, by a delivery.
"""

import structlog

from app.db import standing
from app.db.engine import Database
from app.db.standing import TrainingStanding
from app.domain.errors import JobRefused
from app.domain.job import JobState
from app.domain.submit_outcome import AlreadyOver, Cancelled, NotTaken
from app.flows.ports import Clock, FalDesk
from app.flows.submit import refusal_for

log = structlog.get_logger("app.webhook")


class Cancel:
    """Asks fal to cancel trainings, and tells how they stand."""

    def __init__(self, database: Database, fal: FalDesk, clock: Clock) -> None:
        self._database = database
        self._fal = fal
        self._clock = clock

    async def look(self, request_id: str) -> TrainingStanding:
        """Tell how a training stands. Raises JobRefused (404), DatabaseUnavailable."""
        found = await self._database.read(standing.read, request_id)
        if found is None:
            raise JobRefused(404, "training_unknown", "there is no training with this request_id")
        return found

    async def __call__(self, request_id: str) -> bool:
        """Ask fal to cancel a training; False where it has ended already. Raises JobRefused, DatabaseUnavailable."""
        found = await self.look(request_id)
        if found.state is not JobState.PENDING or found.endpoint is None:
            return False
        said = await self._fal.cancel(found.endpoint, request_id, found.cancel_url)
        match said:
            case NotTaken(trouble, detail):
                log.warning("training.not_cancelled", request_id=request_id, why=trouble, detail=detail)
                raise refusal_for(trouble, detail)
            case Cancelled() | AlreadyOver():
                log.info("training.cancel_asked", request_id=request_id, is_over=isinstance(said, AlreadyOver))
                await self._database.write(standing.look_soon, request_id, self._clock.now())
        return isinstance(said, Cancelled)
