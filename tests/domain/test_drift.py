"""Which rows have drifted, and how long they rest after they were mended (faults 53, 54)."""

from datetime import timedelta

import pytest

from app.domain.drift import Drift, DriftedJob, find_drift
from app.domain.job import JobOutcome
from app.domain.trainer import Trainer
from app.domain.training import Artifacts, TrainingStatus
from tests.factories import CONFIG, INVENTED, INVENTED_ID, INVENTED_LORA, LORA
from tests.fakes import START

COMPLETED, FAILED, GONE = JobOutcome.COMPLETED, JobOutcome.FAILED, JobOutcome.GONE
PORTRAIT, STYLE, UNKNOWN = Trainer.PORTRAIT, Trainer.STYLE, None
BY_LORA = Artifacts(lora_url=LORA, config_url=CONFIG)
BY_ID = Artifacts(finetune_id="ft-1")
BOTH = Artifacts(lora_url=LORA, finetune_id="ft-1")
NOTHING = Artifacts()
MADE_UP = Artifacts(lora_url=INVENTED_LORA)
BESIDE = Artifacts(lora_url=LORA, finetune_id=INVENTED_ID)
TABLE = [
    # trainer, artifacts: found in a completed row whose job was completed; found there when it failed
    (PORTRAIT, BY_LORA, None, None),
    (PORTRAIT, BY_ID, Drift.ARTIFACT_LOST, Drift.FAILURE_LOST),
    (PORTRAIT, BOTH, Drift.TWO_ARTIFACTS, None),
    (PORTRAIT, BESIDE, Drift.ARTIFACT_INVENTED, None),
    (PORTRAIT, NOTHING, Drift.ARTIFACT_LOST, Drift.FAILURE_LOST),
    (PORTRAIT, MADE_UP, Drift.ARTIFACT_INVENTED, Drift.FAILURE_LOST),
    *[
        (trainer, artifacts, *found)
        for trainer in (STYLE, UNKNOWN)
        for artifacts, *found in (
            (BY_LORA, None, None),
            (BY_ID, None, None),
            (BOTH, None, None),
            (BESIDE, Drift.ARTIFACT_INVENTED, None),
            (NOTHING, Drift.ARTIFACT_LOST, Drift.FAILURE_LOST),
            (MADE_UP, Drift.ARTIFACT_INVENTED, Drift.FAILURE_LOST),
        )
    ],
]


@pytest.mark.parametrize(("trainer", "artifacts", "after_success", "after_failure"), TABLE)
def test_what_a_completed_row_holds_tells_whether_it_drifted(
    trainer: Trainer | None, artifacts: Artifacts, after_success: Drift | None, after_failure: Drift | None
) -> None:
    """Another real artifact is none; nothing, something invented, or one too many is."""
    found = [
        find_drift(TrainingStatus.COMPLETED, trainer, artifacts, outcome, INVENTED)
        for outcome in (COMPLETED, FAILED, GONE)
    ]
    assert found == [after_success, after_failure, after_failure]


@pytest.mark.parametrize("artifacts", [BY_LORA, NOTHING, MADE_UP])
@pytest.mark.parametrize("trainer", [PORTRAIT, STYLE, UNKNOWN])
def test_the_status_alone_tells_the_rest(trainer: Trainer | None, artifacts: Artifacts) -> None:
    """At training every job that ended has drifted, at error a completed one; the bot's other statuses are its own.

    At error something invented is drift as well.
    """
    for outcome in (COMPLETED, FAILED, GONE):
        found = {
            status: find_drift(status, trainer, artifacts, outcome, INVENTED) for status in (*TrainingStatus, None)
        }
        assert found.pop(TrainingStatus.TRAINING) is Drift.SET_BACK
        left = Drift.ARTIFACT_INVENTED if artifacts is MADE_UP else None
        assert found.pop(TrainingStatus.ERROR) is (Drift.SUCCESS_LOST if outcome is COMPLETED else left)
        found.pop(TrainingStatus.COMPLETED)
        assert set(found.values()) == {None}


@pytest.mark.parametrize(
    ("drifts", "minutes"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (7, 30), (10_000, 30)]
)
def test_rests_grow_to_half_an_hour(drifts: int, minutes: int) -> None:
    """A look that comes five seconds early counts as the one of its minute."""
    job = DriftedJob(1, "r1", "a1", Drift.SET_BACK, COMPLETED, BY_LORA, None, 1, drifts, START)
    assert job.rests_until() == START + timedelta(minutes=minutes, seconds=-5)


def test_the_first_drift_rests_not() -> None:
    """It is mended at the look that finds it."""
    assert DriftedJob(1, "r1", "a1", Drift.SET_BACK, FAILED, NOTHING, None, 1, 0, None).rests_until() is None
