"""What one row waits for, by its own state and reason alone: what the dashboard says of it."""

import pytest

from app.domain import story_reasons
from app.domain.story_reasons import StoryWait, reasons_to_wait, wait_for

SHOW_DELIVERY, SHOW_MESSAGE = "aisha-webhook deliveries show {id}", "aisha-webhook notifications show {id}"
SHOW_JOB, ASK_FAL = "aisha-webhook jobs show {request_id}", "aisha-webhook reconcile {request_id}"
NO_TOKEN = StoryWait("decide.no_token", story_reasons.SETTINGS)


@pytest.mark.parametrize(
    ("queue", "state", "known", "other"),
    [
        ("deliveries", "pending", story_reasons.PENDING_DELIVERY, StoryWait("wait.again", SHOW_DELIVERY)),
        ("deliveries", "dead", story_reasons.DEAD_DELIVERY, StoryWait("decide.other", SHOW_DELIVERY)),
        ("notifications", "pending", story_reasons.PENDING_MESSAGE, StoryWait("wait.again", SHOW_MESSAGE)),
        ("notifications", "dead", story_reasons.DEAD_MESSAGE, StoryWait("decide.other", SHOW_MESSAGE)),
        ("notifications", "unsent", {None: NO_TOKEN, "no_token": NO_TOKEN}, NO_TOKEN),
        ("jobs", "pending", story_reasons.PENDING_JOB, StoryWait("wait.again", SHOW_JOB)),
        ("jobs", "dead", story_reasons.DEAD_JOB, StoryWait("decide.job", SHOW_JOB)),
    ],
)
def test_a_row_waits_for_what_its_reason_says(
    queue: str, state: str, known: story_reasons.Reasons, other: StoryWait
) -> None:
    """Each queue and state has its own table; a reason that stands in none leads to the row itself."""
    for reason, wait in known.items():
        assert wait_for(queue, state, reason, "queued") == wait_for(queue, state, reason) == wait, reason
    assert wait_for(queue, state, "a_newer_one", "queued") == other


def test_a_job_without_a_trouble_waits_for_fal() -> None:
    """By its stage, one of a newer version as well; a job that was given up has no stage to wait for."""
    for stage, wait in story_reasons.STAGE.items():
        assert wait_for("jobs", "pending", None, stage) == wait, stage
    assert wait_for("jobs", "pending", None) == StoryWait("wait.first_look", ASK_FAL)
    assert wait_for("jobs", "pending", None, "paused") == StoryWait("wait.stage", ASK_FAL)
    assert wait_for("jobs", "dead", None, "queued") == StoryWait("decide.job", SHOW_JOB)
    assert wait_for("deliveries", "pending", None, "queued") == StoryWait("wait.apply", story_reasons.HEALTH)


def test_a_row_that_is_over_waits_for_nothing() -> None:
    """Done, sent, closed, older than this server, of a newer state, or of no queue of ours."""
    for queue, state in (
        ("deliveries", "done"),
        ("deliveries", "ignored"),
        ("notifications", "sent"),
        ("jobs", "historic"),
        ("jobs", "a_newer_one"),
        ("avatars", "pending"),
    ):
        assert wait_for(queue, state, "orphan", "queued") is None, (queue, state)


def test_the_reasons_of_a_queue_are_each_listed_once() -> None:
    """Of rows that wait and of rows that were set aside, in the order of the alphabet, and none of another queue."""
    assert reasons_to_wait("jobs") == (
        "account_locked",
        "endpoint_unknown",
        "entered",
        "entered_before",
        "fal_down",
        "fal_key_refused",
        "fal_odd",
        "no_fal_key",
        "rate_limited",
    )
    for queue, pending, dead in (
        ("deliveries", story_reasons.PENDING_DELIVERY, story_reasons.DEAD_DELIVERY),
        ("notifications", story_reasons.PENDING_MESSAGE, story_reasons.DEAD_MESSAGE),
    ):
        assert reasons_to_wait(queue) == tuple(sorted({reason for reason in (*pending, *dead) if reason}))
    assert reasons_to_wait("avatars") == ()
