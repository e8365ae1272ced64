"""The rule of generations, case by case."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.generation import decide_generation
from app.domain.images import ALBUM_LIMIT, Image, OwedImages, read_images, spell_images
from app.domain.job import JobOutcome, JobState
from app.domain.notification import Cause, OwnerMessage, Topic
from app.domain.training import Artifacts, Change, Completed, Failed, Known, Outcome, Plan, TrainingStatus
from app.domain.verdict import Bury, Done, Retry
from tests.factories import training
from tests.fakes import START

A, B = "https://v3.fal.media/a.jpg", "https://v3.fal.media/b.jpg"
IMAGES = Completed(Artifacts(), (Image(A), Image(B)))
PART = Completed(Artifacts(), (Image(A, is_flagged=True), Image(B)))
FLAGGED = Completed(Artifacts(), (Image(A, is_flagged=True),))
NONE = Completed(Artifacts())
FAILED = Failed(Cause.TIMEOUT, "too slow")
GONE = Failed(Cause.RESULT_GONE, "gone")


def decided(
    outcome: Outcome,
    status: TrainingStatus | None = TrainingStatus.TRAINING,
    ended: JobOutcome | None = None,
    **options: Any,
) -> Plan:
    known = None if ended is None else Known(JobState.DONE, ended, Artifacts())
    return decide_generation(training(status, trainer=None, name="a cat"), outcome, START, known, **options)


def test_images_are_owed_and_written() -> None:
    """The owner is owed every image, and the row gets their URLs."""
    plan = decided(IMAGES)
    assert (plan.verdict, plan.outcome) == (Done("completed"), JobOutcome.COMPLETED)
    assert plan.notification is not None
    assert plan.notification.topic is Topic.IMAGES
    assert plan.notification.images == OwedImages((A, B))
    assert plan.change is not None
    assert plan.change.images == (A, B)


def test_a_flagged_image_is_withheld_and_counted() -> None:
    """It is neither shown nor written, and the owner hears how many there were."""
    plan = decided(PART)
    assert plan.notification is not None
    assert plan.notification.images == OwedImages((B,), withheld=1)
    assert plan.change is not None
    assert plan.change.images == (B,)


def test_only_flagged_images_are_a_failure() -> None:
    """There is nothing to show: the owner hears why."""
    plan = decided(FLAGGED)
    assert (plan.verdict, plan.outcome) == (Done("failed"), JobOutcome.FAILED)
    assert plan.notification is not None
    assert (plan.notification.topic, plan.notification.cause) == (Topic.IMAGES_FAILED, Cause.CONTENT_POLICY)


def test_a_success_without_images_is_fetched() -> None:
    """The reason is the one that sends the flow to fal's queue."""
    assert decided(NONE).verdict == Retry(START, "no_artifact")


@pytest.mark.parametrize(
    ("outcome", "status", "ended", "verdict", "tells"),
    [
        (IMAGES, TrainingStatus.ERROR, JobOutcome.FAILED, Done("completed"), Topic.IMAGES),
        (IMAGES, None, None, Done("completed"), Topic.IMAGES),
        (IMAGES, TrainingStatus.COMPLETED, None, Done("already_completed"), None),
        (IMAGES, TrainingStatus.TRAINING, JobOutcome.COMPLETED, Done("already_completed"), None),
        (NONE, TrainingStatus.TRAINING, JobOutcome.COMPLETED, Done("already_completed"), None),
        (FAILED, TrainingStatus.TRAINING, None, Done("failed"), Topic.IMAGES_FAILED),
        (GONE, TrainingStatus.TRAINING, None, Done("failed"), Topic.IMAGES_FAILED),
        (FAILED, TrainingStatus.TRAINING, JobOutcome.GONE, Done("already_final"), None),
        (FAILED, TrainingStatus.ERROR, None, Done("already_final"), None),
        (FAILED, TrainingStatus.CANCELLED, None, Done("already_final"), None),
    ],
)
def test_each_case(
    outcome: Outcome, status: TrainingStatus | None, ended: JobOutcome | None, verdict: Done, tells: Topic | None
) -> None:
    """What the row and the job say decides what is told."""
    plan = decided(outcome, status, ended)
    assert plan.verdict == verdict
    assert (None if plan.notification is None else plan.notification.topic) == tells


@pytest.mark.parametrize(
    ("outcome", "status", "ended"),
    [
        (IMAGES, TrainingStatus.CANCELLED, None),
        (FAILED, TrainingStatus.COMPLETED, None),
        (FAILED, TrainingStatus.TRAINING, JobOutcome.COMPLETED),
        (FLAGGED, TrainingStatus.COMPLETED, None),
    ],
)
def test_a_conflict_is_kept_and_told_to_nobody(
    outcome: Outcome, status: TrainingStatus, ended: JobOutcome | None
) -> None:
    """A success is never taken back, a cancellation never overruled."""
    plan = decided(outcome, status, ended)
    assert isinstance(plan.verdict, Bury)
    assert plan.verdict.why == "conflict"
    assert (plan.change, plan.notification) == (None, None)


def test_what_somebody_else_completed_is_told_where_that_is_wanted() -> None:
    """TELL_WHEN_FOUND_COMPLETED; the row stays as it is."""
    plan = decided(IMAGES, TrainingStatus.COMPLETED, tells_found=True)
    assert plan.notification is not None
    assert plan.change is None


@given(count=st.integers(1, 45), withheld=st.integers(0, 9), shown=st.integers(0, 45), doubt=st.booleans())
def test_what_is_owed_survives_its_row(count: int, withheld: int, shown: int, doubt: bool) -> None:
    """Spelt and read again it is the same, and albums of at most ten show each image once."""
    urls = tuple(f"{A}?{number}" for number in range(count))
    owed = OwedImages(urls, withheld, min(shown, count), doubt)
    assert read_images(spell_images(owed), owed.shown, is_in_doubt=doubt) == owed
    seen: list[str] = []
    left = OwedImages(urls)
    while left.left:
        assert 1 <= len(left.next_album) <= ALBUM_LIMIT
        seen += left.next_album
        left = OwedImages(urls, shown=left.shown + len(left.next_album))
    assert tuple(seen) == urls


def test_a_failure_is_written_with_fals_words_and_told_with_its_cause() -> None:
    """The row ends with the error, the job with what became of it, and the owner hears why."""
    for outcome, ends in ((FAILED, JobOutcome.FAILED), (GONE, JobOutcome.GONE)):
        plan = decided(outcome)
        assert plan.outcome is ends
        assert plan.change == Change(TrainingStatus.ERROR, START, error=outcome.detail)
        assert plan.notification == OwnerMessage(
            training().avatar_id, "a cat", "r1", Topic.IMAGES_FAILED, training().owner, outcome.cause
        )
        assert decided(outcome, TrainingStatus.ERROR).outcome is ends


def test_a_success_is_written_and_told_whole() -> None:
    """The row ends with the images, and so does the job."""
    plan = decided(PART)
    assert plan.change == Change(TrainingStatus.COMPLETED, START, images=(B,))
    owed = OwedImages((B,), withheld=1)
    assert plan.notification == OwnerMessage(
        training().avatar_id, "a cat", "r1", Topic.IMAGES, training().owner, images=owed
    )
    for again in (decided(IMAGES, TrainingStatus.COMPLETED), decided(IMAGES, ended=JobOutcome.COMPLETED)):
        assert again.outcome is JobOutcome.COMPLETED


def test_a_conflict_says_what_contradicts() -> None:
    """The operator reads which of both came first."""
    assert decided(IMAGES, TrainingStatus.CANCELLED).verdict == Bury(
        "conflict", "fal completed a generation that is cancelled here"
    )
    assert decided(FAILED, TrainingStatus.COMPLETED).verdict == Bury(
        "conflict", "fal reports a failure of a generation that is completed here"
    )
