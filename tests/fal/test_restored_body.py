"""What a job keeps of its end is read back as what fal said."""

import pytest

from app.domain.job import JobOutcome
from app.domain.notification import Cause
from app.domain.training import Artifacts, Completed, Failed
from app.fal.payload import read
from app.fal.result_body import restored
from tests.factories import CONFIG, LORA


@pytest.mark.parametrize(
    "artifacts",
    [Artifacts(lora_url=LORA), Artifacts(lora_url=LORA, config_url=CONFIG), Artifacts(finetune_id="ft-1"), Artifacts()],
)
def test_a_success_is_read_back_with_its_artifacts(artifacts: Artifacts) -> None:
    """The same end makes the same bytes, and they say what the first ones said."""
    body = restored("r1", JobOutcome.COMPLETED, artifacts, None)
    assert restored("r1", JobOutcome.COMPLETED, artifacts, None) == body
    reading = read(body)
    assert (reading.request_id, reading.outcome) == ("r1", Completed(artifacts))


@pytest.mark.parametrize(
    ("outcome", "detail", "failed"),
    [
        (JobOutcome.FAILED, "face not found", Failed(Cause.NO_FACE, "face not found")),
        (JobOutcome.FAILED, None, Failed(Cause.UNKNOWN, "fal gave no reason")),
        (JobOutcome.GONE, "it is gone", Failed(Cause.RESULT_GONE, "it is gone")),
    ],
)
def test_a_failure_is_read_back_with_its_words(outcome: JobOutcome, detail: str | None, failed: Failed) -> None:
    """Its cause is told by its words, and a result that is gone by its type."""
    assert read(restored("r1", outcome, Artifacts(), detail)).outcome == failed
