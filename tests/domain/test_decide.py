"""The table of decide, and what must hold for any outcomes in any order."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.decision import decide
from app.domain.job import JobOutcome
from app.domain.notification import Cause, OwnerMessage, Topic
from app.domain.trainer import Trainer
from app.domain.training import (
    Artifacts,
    Change,
    Completed,
    Failed,
    Outcome,
    Plan,
    Training,
    TrainingStatus,
)
from app.domain.verdict import Bury, Done, Retry
from tests.factories import CONFIG, LORA, training
from tests.fakes import START

LORA_ARTIFACTS = Artifacts(lora_url=LORA, config_url=CONFIG)
COMPLETED = Completed(LORA_ARTIFACTS)
UNPROVEN = Completed(Artifacts(config_url=CONFIG))
FAILED = Failed(Cause.NO_FACE, "face not found")
FINAL = (TrainingStatus.COMPLETED, TrainingStatus.ERROR, TrainingStatus.CANCELLED)
NOT_FINAL = [status for status in TrainingStatus if status not in FINAL]

outcomes = st.sampled_from([COMPLETED, UNPROVEN, FAILED, Failed(Cause.TIMEOUT, "late")])
starts = st.sampled_from(list(TrainingStatus))


def begin(status: TrainingStatus) -> Training:
    """A training at this status; one that is completed has an artifact."""
    return training(status, artifacts=LORA_ARTIFACTS if status is TrainingStatus.COMPLETED else Artifacts())


def after(before: Training, outcome: Outcome) -> Training:
    """The training as the database holds it after the plan."""
    change = decide(before, outcome, START).change
    if change is None:
        return before
    return training(change.status, artifacts=change.artifacts or before.artifacts)


@pytest.mark.parametrize("status", NOT_FINAL)
def test_proof_completes_a_training_that_is_not_final(status: TrainingStatus) -> None:
    """Artifacts complete a training and owe its owner the message "ready"."""
    plan = decide(training(status), COMPLETED, START)
    assert plan.change == Change(TrainingStatus.COMPLETED, START, artifacts=LORA_ARTIFACTS)
    assert plan.notification is not None
    assert plan.notification.topic is Topic.READY
    assert plan.verdict == Done("completed")


@pytest.mark.parametrize("status", NOT_FINAL)
def test_failure_ends_a_training_that_is_not_final(status: TrainingStatus) -> None:
    """A failure puts fal's words into the row and owes the message "failed" with the cause."""
    plan = decide(training(status), FAILED, START)
    assert plan.change == Change(TrainingStatus.ERROR, START, error="face not found")
    assert plan.notification is not None
    assert (plan.notification.topic, plan.notification.cause) == (Topic.FAILED, Cause.NO_FACE)


@pytest.mark.parametrize("status", NOT_FINAL)
def test_words_without_proof_change_nothing(status: TrainingStatus) -> None:
    """OK without an artifact is no success: the result has to be fetched."""
    plan = decide(training(status), UNPROVEN, START)
    assert (plan.change, plan.notification) == (None, None)
    assert isinstance(plan.verdict, Retry)
    assert plan.verdict.why == "no_artifact"


def test_the_same_artifacts_again_are_nothing_new() -> None:
    """A repeat of the success finds it done."""
    plan = decide(training(TrainingStatus.COMPLETED, artifacts=LORA_ARTIFACTS), COMPLETED, START)
    assert (plan.change, plan.notification, plan.verdict) == (None, None, Done("already_completed"))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (TrainingStatus.COMPLETED, Completed(Artifacts(lora_url="https://v3.fal.media/other"))),
        (TrainingStatus.COMPLETED, FAILED),
        (TrainingStatus.CANCELLED, COMPLETED),
        (TrainingStatus.CANCELLED, UNPROVEN),
    ],
)
def test_a_conflict_is_kept_and_shown(status: TrainingStatus, outcome: Outcome) -> None:
    """What contradicts a final state changes nothing, tells nobody, and is buried for the operator to see."""
    plan = decide(training(status, artifacts=LORA_ARTIFACTS), outcome, START)
    assert (plan.change, plan.notification) == (None, None)
    assert isinstance(plan.verdict, Bury)
    assert plan.verdict.why == "conflict"


def test_proof_overrules_an_error() -> None:
    """An artifact is proof even after an error was reported."""
    plan = decide(training(TrainingStatus.ERROR), COMPLETED, START)
    assert plan.change == Change(TrainingStatus.COMPLETED, START, artifacts=LORA_ARTIFACTS)
    assert plan.notification is not None


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (TrainingStatus.ERROR, FAILED),
        (TrainingStatus.ERROR, UNPROVEN),
        (TrainingStatus.COMPLETED, UNPROVEN),
        (TrainingStatus.CANCELLED, FAILED),
    ],
)
def test_nothing_is_done_where_nothing_is_new(status: TrainingStatus, outcome: Outcome) -> None:
    """A final state hears without a change what it knows already."""
    plan = decide(training(status, artifacts=LORA_ARTIFACTS), outcome, START)
    assert (plan.change, plan.notification, plan.verdict) == (None, None, Done("already_final"))


@pytest.mark.parametrize(
    "artifacts",
    [
        Artifacts(lora_url="https://f.media/" + "x" * 500),
        Artifacts(lora_url=LORA, config_url="https://f.media/" + "x" * 500),
        Artifacts(finetune_id="x" * 256),
    ],
)
def test_a_value_longer_than_its_column_is_buried(artifacts: Artifacts) -> None:
    """Nothing is truncated to fit."""
    plan = decide(training(trainer=None), Completed(artifacts), START)
    assert plan.change is None
    assert isinstance(plan.verdict, Bury)
    assert plan.verdict.why == "artifact_too_long"


def test_an_unknown_status_is_left_alone() -> None:
    """A word that we do not know is the bot's business; the operator hears of it."""
    plan = decide(training(None, spelling="archived"), COMPLETED, START)
    assert isinstance(plan.verdict, Bury)
    assert plan.verdict.why == "status_unknown"


@given(starts, outcomes)
def test_repetition_changes_nothing(start: TrainingStatus, outcome: Outcome) -> None:
    """The second time, an outcome neither changes the row nor owes a message."""
    once = after(begin(start), outcome)
    again = decide(once, outcome, START + timedelta(seconds=1))
    assert (again.change, again.notification) == (None, None)


@given(starts, st.lists(outcomes, max_size=6))
def test_a_final_state_never_regresses(start: TrainingStatus, sequence: list[Outcome]) -> None:
    """Completed and cancelled stay; an error only ever becomes completed."""
    now = begin(start)
    for outcome in sequence:
        then = after(now, outcome)
        if now.status in (TrainingStatus.COMPLETED, TrainingStatus.CANCELLED):
            assert then == now
        if now.status is TrainingStatus.ERROR:
            assert then.status in (TrainingStatus.ERROR, TrainingStatus.COMPLETED)
        now = then


@given(starts, st.lists(outcomes, min_size=3, max_size=3))
def test_every_order_of_three_outcomes_ends_the_same(start: TrainingStatus, three: list[Outcome]) -> None:
    """The order in which fal's calls arrive decides neither the status nor the artifacts (fault 26)."""
    ends = set()
    for order in itertools.permutations(three):
        now = begin(start)
        for outcome in order:
            now = after(now, outcome)
        ends.add((now.status, now.artifacts))
    assert len(ends) == 1


@given(starts, st.lists(outcomes, max_size=6))
def test_success_is_only_claimed_with_an_artifact(start: TrainingStatus, sequence: list[Outcome]) -> None:
    """Whoever is told "ready" has an artifact in the row."""
    now = begin(start)
    for outcome in sequence:
        plan = decide(now, outcome, START)
        if plan.notification is not None and plan.notification.topic is Topic.READY:
            assert plan.change is not None
            assert plan.change.artifacts
        now = after(now, outcome)


@pytest.mark.parametrize(
    ("status", "outcome", "words"),
    [
        (
            TrainingStatus.COMPLETED,
            Completed(Artifacts(lora_url="https://v3.fal.media/other")),
            "fal sent other artifacts than the avatar already has",
        ),
        (TrainingStatus.COMPLETED, FAILED, "fal reports a failure of a training that is completed here"),
        (TrainingStatus.CANCELLED, COMPLETED, "fal completed a training that is cancelled here"),
        (TrainingStatus.CANCELLED, UNPROVEN, "fal completed a training that is cancelled here"),
    ],
)
def test_a_conflict_says_what_contradicts(status: TrainingStatus, outcome: Outcome, words: str) -> None:
    """The operator reads what fal says and what stands here."""
    assert decide(training(status, artifacts=LORA_ARTIFACTS), outcome, START).verdict == Bury("conflict", words)


def test_a_success_overtakes_the_failure_that_may_still_wait() -> None:
    """Only a row that holds an error can have told one: whoever is told "ready" then must not hear of it any more."""
    for status, overtakes in ((TrainingStatus.ERROR, True), (TrainingStatus.TRAINING, False)):
        message = decide(training(status), COMPLETED, START).notification
        owner = training().owner
        assert message == OwnerMessage(
            training().avatar_id, "Айша", "r1", Topic.READY, owner, overtakes=overtakes, trainer=Trainer.PORTRAIT
        )


def test_a_plan_says_how_the_job_ended() -> None:
    """Completed with what proves it, failed, or gone where fal has no result any more; a conflict ends nothing."""
    gone = Failed(Cause.RESULT_GONE, "gone")
    for status, outcome, ends, artifacts in (
        (TrainingStatus.TRAINING, COMPLETED, JobOutcome.COMPLETED, LORA_ARTIFACTS),
        (TrainingStatus.COMPLETED, COMPLETED, JobOutcome.COMPLETED, LORA_ARTIFACTS),
        (TrainingStatus.COMPLETED, UNPROVEN, JobOutcome.COMPLETED, LORA_ARTIFACTS),
        (TrainingStatus.ERROR, UNPROVEN, JobOutcome.FAILED, None),
        (TrainingStatus.TRAINING, FAILED, JobOutcome.FAILED, None),
        (TrainingStatus.TRAINING, gone, JobOutcome.GONE, None),
        (TrainingStatus.ERROR, gone, JobOutcome.GONE, None),
        (TrainingStatus.CANCELLED, FAILED, JobOutcome.FAILED, None),
        (TrainingStatus.CANCELLED, COMPLETED, None, None),
        (TrainingStatus.TRAINING, UNPROVEN, None, None),
    ):
        plan = decide(begin(status), outcome, START)
        assert (plan.outcome, plan.artifacts) == (ends, artifacts), (status, outcome)


def test_a_value_that_is_too_long_is_named() -> None:
    """The first that its column cannot hold; what just fits is taken."""
    url, finetune_id = "https://f.media/".ljust(500, "x"), "x" * 255
    for artifacts, name in (
        (Artifacts(url, None, url, finetune_id), None),
        (Artifacts(f"{url}x", None, f"{url}x"), "lora_url"),
        (Artifacts(url, None, f"{url}x", f"{finetune_id}x"), "config_url"),
        (Artifacts(finetune_id=f"{finetune_id}x"), "finetune_id"),
    ):
        assert artifacts.too_long() == name
    verdict = decide(training(), Completed(Artifacts(f"{url}x")), START).verdict
    assert verdict == Bury("artifact_too_long", "lora_url is longer than its column")


def test_a_row_that_holds_too_much_is_mended_without_a_message() -> None:
    """A completed portrait with a finetune id keeps its LoRA alone, whatever fal says; its job ended with that."""
    spoilt = training(TrainingStatus.COMPLETED, artifacts=replace(LORA_ARTIFACTS, finetune_id="ft-1"))
    change = Change(TrainingStatus.COMPLETED, START, artifacts=LORA_ARTIFACTS)
    plan = Plan(Done("completed"), change, None, JobOutcome.COMPLETED, LORA_ARTIFACTS)
    assert decide(spoilt, UNPROVEN, START) == plan
    assert decide(spoilt, COMPLETED, START) == plan
