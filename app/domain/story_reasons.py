"""What each reason waits for, and the command that goes on from there: one table for each state that is not over.

The reasons are those of docs/errors.md; one that stands in no table is told by its name.
"""

from collections.abc import Mapping
from typing import NamedTuple


class StoryWait(NamedTuple):
    """The code of the sentence that says what is waited for, and the command; `{id}` is the row's own id."""

    code: str
    command: str


WHY = "aisha-webhook why {request_id}"  # nothing to do but to look again later
LIST = "aisha-webhook deliveries list"
ASK_FAL = "aisha-webhook reconcile {request_id}"
HEALTH = "aisha-webhook healthcheck"
DOCTOR = "aisha-webhook doctor"
SETTINGS = "${{EDITOR:-nano}} .env"
SHOW_DELIVERY = "aisha-webhook deliveries show {id}"
REDRIVE_DELIVERY = "aisha-webhook deliveries redrive {id}"
IGNORE_DELIVERY = "aisha-webhook deliveries ignore {id}"
SHOW_MESSAGE = "aisha-webhook notifications show {id}"
REDRIVE_MESSAGE = "aisha-webhook notifications redrive {id}"
IGNORE_MESSAGE = "aisha-webhook notifications ignore {id}"
SHOW_JOB = "aisha-webhook jobs show {request_id}"

Reasons = Mapping[str | None, StoryWait]

_KEY: dict[str | None, StoryWait] = {
    "no_fal_key": StoryWait("wait.key_missing", SETTINGS),
    "fal_key_refused": StoryWait("wait.key_refused", DOCTOR),
    "account_locked": StoryWait("wait.account", DOCTOR),
}
_APPLY = StoryWait("wait.apply", HEALTH)
_RESULT = StoryWait("wait.result", WHY)
_FAL_AGAIN = StoryWait("wait.fal_again", ASK_FAL)
_SLOT = StoryWait("wait.slot", WHY)
_FORMAT = StoryWait("decide.format", SHOW_DELIVERY)
_KEY_BACK = StoryWait("decide.key_back", REDRIVE_DELIVERY)
_FAL_BACK = StoryWait("decide.fal_back", REDRIVE_DELIVERY)
_NOTHING = StoryWait("decide.nothing_to_apply", IGNORE_DELIVERY)
_ROW = StoryWait("decide.row", REDRIVE_DELIVERY)

PENDING_DELIVERY: Reasons = {
    **_KEY,
    None: _APPLY,
    "redriven": _APPLY,
    "drift": _APPLY,
    "orphan": StoryWait("wait.bot_row", SHOW_DELIVERY),
    "locked": StoryWait("wait.lock", WHY),
    "no_artifact": _RESULT,
    "not_ready": _RESULT,
    "result_gone": _RESULT,
    "result_unreadable": _RESULT,
    "fal_down": _RESULT,
    "artifact_absent": StoryWait("wait.file", SHOW_DELIVERY),
    "bug": StoryWait("wait.after_bug", SHOW_DELIVERY),
}
DEAD_DELIVERY: Reasons = {
    "orphan": StoryWait("decide.orphan", REDRIVE_DELIVERY),
    "conflict": StoryWait("decide.conflict", IGNORE_DELIVERY),
    "no_fal_key": _KEY_BACK,
    "fal_key_refused": _KEY_BACK,
    "account_locked": _KEY_BACK,
    "fal_down": _FAL_BACK,
    "not_ready": _FAL_BACK,
    "no_artifact": _NOTHING,
    "result_gone": _NOTHING,
    "artifact_absent": StoryWait("decide.file", SHOW_DELIVERY),
    "id_mismatch": StoryWait("decide.mismatch", IGNORE_DELIVERY),
    "ambiguous_training": _ROW,
    "status_unknown": _ROW,
    "artifact_too_long": _ROW,
    "not_json": _FORMAT,
    "not_an_object": _FORMAT,
    "no_request_id": _FORMAT,
    "unknown_status": _FORMAT,
    "result_unreadable": _FORMAT,
    "body_forgotten": StoryWait("decide.emptied", IGNORE_DELIVERY),
    "bug": StoryWait("decide.after_bug", REDRIVE_DELIVERY),
}
PENDING_MESSAGE: Reasons = {
    None: _SLOT,
    "paced": _SLOT,
    "stopped": _SLOT,
    "redriven": _SLOT,
    "more_images": _SLOT,
    "uploads_busy": StoryWait("wait.upload", WHY),
    "sending": StoryWait("wait.sending", WHY),
    "slow_down": StoryWait("wait.slow_down", WHY),
    "token_refused": StoryWait("wait.token", SETTINGS),
    "telegram_down": StoryWait("wait.telegram", WHY),
    "outcome_unknown": StoryWait("wait.once_more", WHY),
    "bug": StoryWait("wait.after_bug", SHOW_MESSAGE),
    "awaits_alert": StoryWait("wait.alert", HEALTH),
    "awaits_account": StoryWait("wait.account", DOCTOR),
}
DEAD_MESSAGE: Reasons = {
    "owner_unreachable": StoryWait("decide.owner_left", REDRIVE_MESSAGE),
    "no_chat_id": StoryWait("decide.chat_id", REDRIVE_MESSAGE),
    "outcome_unknown": StoryWait("decide.told_perhaps", REDRIVE_MESSAGE),
    "telegram_down": StoryWait("decide.telegram_back", REDRIVE_MESSAGE),
    "rejected": StoryWait("decide.wording", IGNORE_MESSAGE),
    "bug": StoryWait("decide.after_bug", REDRIVE_MESSAGE),
}
PENDING_JOB: Reasons = {
    **_KEY,
    "entered": _APPLY,
    "rate_limited": _FAL_AGAIN,
    "fal_down": _FAL_AGAIN,
    "fal_odd": _FAL_AGAIN,
}
STAGE: Reasons = {
    None: StoryWait("wait.first_look", ASK_FAL),
    "queued": StoryWait("wait.fal_queue", ASK_FAL),
    "at_work": StoryWait("wait.fal_work", ASK_FAL),
    "finished": StoryWait("wait.fetch", ASK_FAL),
    "gone": StoryWait("wait.confirm_gone", ASK_FAL),
}
DEAD_JOB: Reasons = {
    "endpoint_unknown": StoryWait("decide.endpoint", ASK_FAL),
    "fal_odd": StoryWait("decide.fal_odd", ASK_FAL),
    "entered_before": StoryWait("decide.entered_before", SHOW_JOB),
}

_BY_ROW: Mapping[tuple[str, str], tuple[Reasons, StoryWait]] = {
    ("deliveries", "pending"): (PENDING_DELIVERY, StoryWait("wait.again", SHOW_DELIVERY)),
    ("deliveries", "dead"): (DEAD_DELIVERY, StoryWait("decide.other", SHOW_DELIVERY)),
    ("notifications", "pending"): (PENDING_MESSAGE, StoryWait("wait.again", SHOW_MESSAGE)),
    ("notifications", "dead"): (DEAD_MESSAGE, StoryWait("decide.other", SHOW_MESSAGE)),
    ("notifications", "unsent"): ({}, StoryWait("decide.no_token", SETTINGS)),
    ("jobs", "pending"): (PENDING_JOB, StoryWait("wait.again", SHOW_JOB)),
    ("jobs", "dead"): (DEAD_JOB, StoryWait("decide.job", SHOW_JOB)),
}


def wait_for(queue: str, state: str, reason: str | None, stage: str | None = None) -> StoryWait | None:
    """Say what one row waits for, by its own state and reason alone; None where it waits for nothing.

    >>> wait_for("deliveries", "dead", "orphan").code, wait_for("deliveries", "done", "completed")
    ('decide.orphan', None)
    """
    if (queue, state) not in _BY_ROW:
        return None
    if queue == "jobs" and state == "pending" and reason is None:
        return STAGE.get(stage, StoryWait("wait.stage", ASK_FAL))
    known, other = _BY_ROW[queue, state]
    return known.get(reason, other)


def reasons_to_wait(queue: str) -> tuple[str, ...]:
    """List the reasons for which rows of a queue wait, by themselves or for the operator."""
    tables = [known for (name, _), (known, _) in _BY_ROW.items() if name == queue]
    return tuple(sorted({reason for known in tables for reason in known if reason is not None}))
