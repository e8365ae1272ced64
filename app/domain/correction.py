"""What an owner hears who was told the opposite before. Pure."""

from dataclasses import replace

from app.domain.job import JobOutcome
from app.domain.notification import Cause, OwnerMessage, OwnerTopics, Topic
from app.domain.training import Failed, Outcome, Plan, Training

# A correction promises nothing more: what a failure says that promises something has its own row (`app.db.promises`).
_UNPROMISED = {Cause.OUR_ACCOUNT: Cause.FAL_TROUBLE}


def correct(plan: Plan, training: Training, outcome: Outcome, told: OwnerTopics) -> Plan:
    """Fit a plan's message to what its owner was told before.

    Nothing is said twice; where the last message says the opposite, a correction follows. The first "ready" after a
    "failed" needs none.
    """
    is_ready = plan.outcome is JobOutcome.COMPLETED
    if told.is_ready is None:
        return plan
    if told.is_ready is is_ready:
        return replace(plan, notification=None)
    if is_ready and plan.notification is not None and Topic.READY not in told.owed:
        return plan
    cause = outcome.cause if isinstance(outcome, Failed) else Cause.UNKNOWN
    message = OwnerMessage(
        training.avatar_id,
        training.name,
        training.request_id,
        Topic.CORRECTION,
        training.owner,
        None if is_ready else _UNPROMISED.get(cause, cause),
        overtakes=is_ready,
        trainer=training.trainer,
    )
    return replace(plan, notification=message)
