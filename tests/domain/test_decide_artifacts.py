"""decide, by trainer × status × what the row holds × what fal says × what is known of the job (faults 53, 54)."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.decision import decide
from app.domain.job import JobOutcome, JobState
from app.domain.notification import Cause, Topic
from app.domain.trainer import Trainer
from app.domain.training import Artifacts, Change, Completed, Failed, Known, Outcome, Plan, Training, TrainingStatus
from app.domain.verdict import Bury, Done, Retry, Verdict
from tests.factories import CONFIG, INVENTED, INVENTED_ID, INVENTED_LORA, LORA, training
from tests.fakes import START

OTHER_LORA = "https://v3.fal.media/files/lion/pytorch_lora_weights.safetensors"
BY_LORA = Artifacts(lora_url=LORA, config_url=CONFIG)
BY_ID = Artifacts(finetune_id="ft-1")
NONE = Artifacts()
FAILED = Failed(Cause.NO_FACE, "face not found")
GONE = Failed(Cause.RESULT_GONE, "fal has no result of it any more")

PORTRAIT, STYLE, UNKNOWN = Trainer.PORTRAIT, Trainer.STYLE, None
NOT_FINAL = [
    TrainingStatus.DRAFT,
    TrainingStatus.PHOTOS_UPLOADING,
    TrainingStatus.READY_FOR_TRAINING,
    TrainingStatus.TRAINING,
]
# What a row may hold, and what of it counts: for a portrait its LoRA, for the rest whichever there is.
HELD = {
    "nothing": NONE,
    "a config only": Artifacts(config_url=CONFIG),
    "this LoRA": BY_LORA,
    "another LoRA": Artifacts(lora_url=OTHER_LORA),
    "this id": BY_ID,
    "another id": Artifacts(finetune_id="ft-2"),
    "an invented LoRA": Artifacts(lora_url=INVENTED_LORA, config_url="https://emergency-fallback.com/config.json"),
    "an invented id": Artifacts(finetune_id=INVENTED_ID),
    "both invented": Artifacts(lora_url=INVENTED_LORA, finetune_id=INVENTED_ID),
    "this LoRA and an invented id": replace(BY_LORA, finetune_id=INVENTED_ID),
    "this LoRA and another id": replace(BY_LORA, finetune_id="ft-2"),
    "an invented LoRA and this id": replace(BY_ID, lora_url=INVENTED_LORA),
}
WRITTEN, MENDED, PURGED, SAME = "written", "mended", "purged", "same"
CONFLICT, FETCH, FINAL, ENDED = "conflict", "fetch", "final", "ended"
# Of a completed row: what follows from a LoRA, from a finetune id, and from a failure.
COMPLETED_ROWS: dict[Trainer | None, dict[str, tuple[str, str, str]]] = {
    PORTRAIT: {
        "nothing": (WRITTEN, FETCH, ENDED),
        "a config only": (WRITTEN, FETCH, ENDED),
        "this LoRA": (SAME, FINAL, CONFLICT),
        "another LoRA": (CONFLICT, FINAL, CONFLICT),
        "this id": (WRITTEN, FETCH, ENDED),
        "another id": (WRITTEN, FETCH, ENDED),
        "an invented LoRA": (WRITTEN, FETCH, ENDED),
        "an invented id": (WRITTEN, FETCH, ENDED),
        "both invented": (WRITTEN, FETCH, ENDED),
        "this LoRA and an invented id": (MENDED, PURGED, CONFLICT),
        "this LoRA and another id": (MENDED, PURGED, CONFLICT),
        "an invented LoRA and this id": (WRITTEN, FETCH, ENDED),
    },
    STYLE: {
        "nothing": (WRITTEN, WRITTEN, ENDED),
        "a config only": (WRITTEN, WRITTEN, ENDED),
        "this LoRA": (SAME, CONFLICT, CONFLICT),
        "another LoRA": (CONFLICT, CONFLICT, CONFLICT),
        "this id": (CONFLICT, SAME, CONFLICT),
        "another id": (CONFLICT, CONFLICT, CONFLICT),
        "an invented LoRA": (WRITTEN, WRITTEN, ENDED),
        "an invented id": (WRITTEN, WRITTEN, ENDED),
        "both invented": (WRITTEN, WRITTEN, ENDED),
        "this LoRA and an invented id": (MENDED, CONFLICT, CONFLICT),
        "this LoRA and another id": (SAME, CONFLICT, CONFLICT),
        "an invented LoRA and this id": (CONFLICT, MENDED, CONFLICT),
    },
}
COMPLETED_ROWS[UNKNOWN] = COMPLETED_ROWS[STYLE]
SAYS: tuple[Outcome, ...] = (Completed(BY_LORA), Completed(BY_ID), FAILED)
ROWS = [
    (trainer, held, says, follows)
    for trainer, table in COMPLETED_ROWS.items()
    for held, cells in table.items()
    for says, follows in zip(SAYS, cells, strict=True)
]


def plan_for(trained: Training, outcome: Outcome, known: Known | None = None, *, tells_found: bool = False) -> Plan:
    return decide(trained, outcome, START, known, invented=INVENTED, tells_found=tells_found)


def told(plan: Plan) -> Topic | None:
    return None if plan.notification is None else plan.notification.topic


def known_as(outcome: JobOutcome | None, artifacts: Artifacts = NONE) -> Known:
    return Known(JobState.PENDING if outcome is None else JobState.DONE, outcome, artifacts)


def after(before: Training, outcome: Outcome, known: Known | None) -> tuple[Training, Known | None]:
    """The training and what is known of its job once the plan is carried out."""
    plan = plan_for(before, outcome, known)
    if plan.outcome is not None and (known is None or plan.change is not None):
        known = known_as(plan.outcome, plan.artifacts or NONE)
    if plan.change is None:
        return before, known
    status, kept = plan.change.status, plan.change.artifacts
    return replace(before, status=status, artifacts=before.artifacts if kept is None else kept), known


def test_the_table_is_whole() -> None:
    """Every trainer meets everything that a row may hold."""
    assert {trainer: set(table) for trainer, table in COMPLETED_ROWS.items()} == {
        trainer: set(HELD) for trainer in (*Trainer, None)
    }


def test_what_a_completed_row_holds_decides() -> None:
    """Only a real artifact of the row's own type makes it completed; without one it is as if it were not (fault 54)."""
    for trainer, held, says, follows in ROWS:
        plan = plan_for(training(TrainingStatus.COMPLETED, trainer=trainer, artifacts=HELD[held]), says)
        given = says.artifacts if isinstance(says, Completed) else None
        expected: tuple[Verdict, Change | None, Topic | None]
        match follows:
            case "written":
                expected = Done("completed"), Change(TrainingStatus.COMPLETED, START, artifacts=given), Topic.READY
            case "mended":
                expected = Done("completed"), Change(TrainingStatus.COMPLETED, START, artifacts=given), None
            case "purged":  # nothing is proven, but what stands there and is real
                expected = Done("completed"), Change(TrainingStatus.COMPLETED, START, artifacts=BY_LORA), None
            case "same":
                expected = Done("already_completed"), None, None
            case "final":
                expected = Done("already_final"), None, None
            case "fetch":
                expected = Retry(START, "no_artifact"), None, None
            case "ended":
                left = INVENTED.real(HELD[held])
                kept = None if left == HELD[held] else left
                change = Change(TrainingStatus.ERROR, START, artifacts=kept, error="face not found")
                expected = Done("failed"), change, Topic.FAILED
            case _:
                assert isinstance(plan.verdict, Bury), (trainer, held, says, follows)
                assert plan.verdict.why == "conflict", (trainer, held, says, follows)
                expected = plan.verdict, None, None
        assert (plan.verdict, plan.change, told(plan)) == expected, (trainer, held, says, follows)


def test_only_the_artifact_of_the_rows_own_type_is_written() -> None:
    """A portrait gets its LoRA, a style what fal gave, nobody both, whatever the row held before."""
    for held, status, (trainer, said, written) in product(
        HELD,
        [*NOT_FINAL, TrainingStatus.ERROR],
        [
            (PORTRAIT, BY_LORA, BY_LORA),
            (PORTRAIT, replace(BY_LORA, finetune_id="ft-1"), BY_LORA),
            (STYLE, BY_LORA, BY_LORA),
            (STYLE, BY_ID, BY_ID),
            (STYLE, replace(BY_LORA, finetune_id="ft-1"), BY_ID),
            (UNKNOWN, BY_LORA, BY_LORA),
            (UNKNOWN, BY_ID, BY_ID),
            (UNKNOWN, replace(BY_LORA, finetune_id="ft-1"), BY_LORA),
        ],
    ):
        plan = plan_for(training(status, trainer=trainer, artifacts=HELD[held]), Completed(said))
        assert plan.change == Change(TrainingStatus.COMPLETED, START, artifacts=written), (
            held,
            status,
            trainer,
            said,
            written,
        )
        assert (plan.verdict, told(plan)) == (Done("completed"), Topic.READY), (held, status, trainer, said, written)
        assert (plan.outcome, plan.artifacts) == (JobOutcome.COMPLETED, written), (
            held,
            status,
            trainer,
            said,
            written,
        )


@pytest.mark.parametrize("status", NOT_FINAL)
@pytest.mark.parametrize(
    ("trainer", "given"),
    [(PORTRAIT, BY_ID), *[(trainer, Artifacts(lora_url=INVENTED_LORA)) for trainer in (PORTRAIT, STYLE, UNKNOWN)]],
)
def test_what_is_no_artifact_of_the_row_is_no_proof(
    trainer: Trainer | None, given: Artifacts, status: TrainingStatus
) -> None:
    """A finetune id completes no portrait, and an invented artifact nobody: the result has to be fetched."""
    plan = plan_for(training(status, trainer=trainer), Completed(given))
    assert (plan.verdict, plan.change, told(plan)) == (Retry(START, "no_artifact"), None, None)


def test_a_failure_takes_away_what_was_invented_and_nothing_else() -> None:
    """An earlier training's artifact stays; an invented one does not (fault 54)."""
    for held, trainer, status in product(HELD, [PORTRAIT, STYLE, UNKNOWN], NOT_FINAL):
        plan = plan_for(training(status, trainer=trainer, artifacts=HELD[held]), FAILED)
        assert (plan.verdict, told(plan), plan.outcome) == (Done("failed"), Topic.FAILED, JobOutcome.FAILED), (
            held,
            trainer,
            status,
        )
        assert plan.change is not None, (held, trainer, status)
        left = HELD[held] if plan.change.artifacts is None else plan.change.artifacts
        assert left == INVENTED.real(HELD[held]), (held, trainer, status)
        assert (plan.change.artifacts is None) == ("invented" not in held), (held, trainer, status)


def test_at_error_only_what_was_invented_is_taken_away() -> None:
    """Its owner has heard how it ended; what fal says of a failure is written, what the bot says stays (fault 54)."""
    outcomes: list[Outcome] = [FAILED, GONE, Completed(NONE)]
    for held, trainer, says in product(HELD, [PORTRAIT, STYLE, UNKNOWN], outcomes):
        plan = plan_for(training(TrainingStatus.ERROR, trainer=trainer, artifacts=HELD[held]), says)
        ends = JobOutcome.GONE if says is GONE else JobOutcome.FAILED
        assert (plan.outcome, told(plan)) == (ends, None), (held, trainer, says)
        if "invented" in held:
            error = says.detail if isinstance(says, Failed) else None
            left = INVENTED.real(HELD[held])
            change = Change(TrainingStatus.ERROR, START, artifacts=left, error=error)
            assert (plan.verdict, plan.change) == (Done("failed"), change), (held, trainer, says)
        else:
            assert (plan.verdict, plan.change) == (Done("already_final"), None), (held, trainer, says)


def test_a_cancelled_training_is_left_alone() -> None:
    """A success is kept and shown as a conflict, a failure is no news."""
    for trainer, held in product([PORTRAIT, STYLE, UNKNOWN], HELD):
        row = training(TrainingStatus.CANCELLED, trainer=trainer, artifacts=HELD[held])
        for outcome in (Completed(BY_LORA), Completed(NONE)):
            plan = plan_for(row, outcome)
            assert isinstance(plan.verdict, Bury), (trainer, held)
            assert (plan.verdict.why, plan.change, told(plan)) == ("conflict", None, None), (trainer, held)
        plan = plan_for(row, FAILED)
        assert (plan.verdict, plan.change, told(plan)) == (Done("already_final"), None, None), (trainer, held)


def test_the_end_of_a_job_without_a_result_has_a_name_of_its_own() -> None:
    """What fal has no result of any more fails like the rest, and its job is gone."""
    plan = plan_for(training(), GONE)
    assert (plan.verdict, plan.outcome, told(plan)) == (Done("failed"), JobOutcome.GONE, Topic.FAILED)
    assert plan.notification is not None
    assert plan.notification.cause is Cause.RESULT_GONE


def test_a_failure_after_a_success_on_record_is_a_conflict() -> None:
    """Success is not taken back by setting the row back first (fault 53)."""
    for status, held in product([status for status in TrainingStatus if status is not TrainingStatus.CANCELLED], HELD):
        row = training(status, artifacts=HELD[held])
        plan = plan_for(row, FAILED, known_as(JobOutcome.COMPLETED, BY_LORA))
        assert isinstance(plan.verdict, Bury), (status, held)
        assert (plan.verdict.why, plan.change, told(plan)) == ("conflict", None, None), (status, held)


@pytest.mark.parametrize("status", [*NOT_FINAL, TrainingStatus.ERROR])
def test_another_success_after_the_one_on_record_is_a_conflict(status: TrainingStatus) -> None:
    """Nor is it exchanged (fault 53)."""
    known = known_as(JobOutcome.COMPLETED, Artifacts(lora_url=OTHER_LORA))
    plan = plan_for(training(status), Completed(BY_LORA), known)
    assert isinstance(plan.verdict, Bury)
    assert (plan.verdict.why, plan.change) == ("conflict", None)


@pytest.mark.parametrize("status", [*NOT_FINAL, TrainingStatus.ERROR])
@pytest.mark.parametrize("given", [BY_LORA, NONE])
def test_a_row_set_back_after_success_is_mended_in_silence(status: TrainingStatus, given: Artifacts) -> None:
    """The same success again, even without its artifact, restores the row; its owner has heard of it (fault 53)."""
    plan = plan_for(training(status), Completed(given), known_as(JobOutcome.COMPLETED, BY_LORA))
    assert plan.change == Change(TrainingStatus.COMPLETED, START, artifacts=BY_LORA)
    assert told(plan) is None


@pytest.mark.parametrize("ended", [JobOutcome.FAILED, JobOutcome.GONE])
@pytest.mark.parametrize("row", [training(), training(TrainingStatus.COMPLETED, artifacts=HELD["an invented LoRA"])])
def test_a_row_set_back_after_failure_is_mended_in_silence(row: Training, ended: JobOutcome) -> None:
    """The same failure again restores the error; its owner has heard of it (faults 53, 54)."""
    plan = plan_for(row, FAILED, known_as(ended))
    assert plan.change is not None
    assert (plan.change.status, plan.change.artifacts or NONE, told(plan)) == (TrainingStatus.ERROR, NONE, None)


@pytest.mark.parametrize("tells_found", [True, False])
@pytest.mark.parametrize("held", ["this LoRA", "this LoRA and an invented id"])
def test_who_is_told_of_what_somebody_else_completed(held: str, tells_found: bool) -> None:
    """TELL_WHEN_FOUND_COMPLETED decides whether a row found completed with the same artifact is worth a message."""
    row = training(TrainingStatus.COMPLETED, artifacts=HELD[held])
    assert told(plan_for(row, Completed(BY_LORA), tells_found=tells_found)) is (Topic.READY if tells_found else None)
    ours = known_as(JobOutcome.COMPLETED, BY_LORA)
    assert told(plan_for(row, Completed(BY_LORA), ours, tells_found=tells_found)) is None


trainers = st.sampled_from([*Trainer, None])
rows = st.builds(
    lambda status, trainer, held: training(status, trainer=trainer, artifacts=HELD[held]),
    st.sampled_from(list(TrainingStatus)),
    trainers,
    st.sampled_from(list(HELD)),
)
outcomes = st.one_of(
    st.sampled_from(list(HELD)).map(lambda held: Completed(HELD[held])), st.sampled_from([FAILED, GONE])
)


@given(rows, st.lists(outcomes, max_size=6))
def test_a_real_success_is_never_taken_back(row: Training, sequence: list[Outcome]) -> None:
    """Once a row is completed with a real artifact of its own, no outcome in any order changes either."""
    known: Known | None = None
    for outcome in sequence:
        own = INVENTED.real(row.artifacts).own(row.trainer)
        then, known = after(row, outcome, known)
        if row.status is TrainingStatus.COMPLETED and own:
            assert then.status is TrainingStatus.COMPLETED
            assert then.artifacts.holds(own)
        row = then


@given(rows, st.lists(outcomes, max_size=6), st.data())
def test_a_success_on_record_outlives_what_others_do_to_the_row(
    row: Training, sequence: list[Outcome], data: st.DataObject
) -> None:
    """Whatever is written into the row between two deliveries, a completed job stays completed, with its artifact."""
    known: Known | None = None
    for outcome in sequence:
        before = known
        row, known = after(row, outcome, known)
        if before is not None and before.outcome is JobOutcome.COMPLETED:
            assert known == before
        status = data.draw(st.sampled_from(list(TrainingStatus)))
        row = replace(row, status=status, artifacts=HELD[data.draw(st.sampled_from(list(HELD)))])


@given(rows, outcomes)
def test_nothing_is_completed_without_a_real_artifact_of_its_own(row: Training, outcome: Outcome) -> None:
    """Whoever is told "ready" has one in the row, and whatever is written as completed is one."""
    plan = plan_for(row, outcome, tells_found=True)
    if plan.change is not None and plan.change.status is TrainingStatus.COMPLETED:
        assert plan.change.artifacts is not None
        assert INVENTED.real(plan.change.artifacts).own(row.trainer) == plan.change.artifacts
    if told(plan) is Topic.READY:
        assert plan.change is not None or INVENTED.real(row.artifacts).own(row.trainer)


@given(rows, st.lists(outcomes, min_size=1, max_size=6))
def test_no_row_that_is_written_holds_both(row: Training, sequence: list[Outcome]) -> None:
    """A portrait that we completed has a LoRA and no finetune id, and nobody both."""
    known: Known | None = None
    for outcome in sequence:
        then, known = after(row, outcome, known)
        if then is not row and then.status is TrainingStatus.COMPLETED:
            assert not (then.artifacts.lora_url and then.artifacts.finetune_id)
            assert then.trainer is not Trainer.PORTRAIT or then.artifacts.lora_url
        row = then


@given(rows, outcomes)
def test_the_same_outcome_again_changes_nothing(row: Training, outcome: Outcome) -> None:
    """Whatever the row held, the second time nothing is written and nobody is told."""
    once, known = after(row, outcome, None)
    plan = plan_for(once, outcome, known)
    if known is not None:
        assert (plan.change, told(plan)) == (None, None)
