"""Which facts about jobs are alarming, and how much."""

from dataclasses import replace

import pytest

from app.domain.alert import AlertLevel, Condition
from app.domain.job_alarms import JobFacts, job_alarms
from tests.job_facts import NO_JOBS

WARN, CRITICAL = AlertLevel.WARN, AlertLevel.CRITICAL
Found = list[tuple[Condition, AlertLevel, str]]


def found(facts: JobFacts, *, invented: int = 0) -> Found:
    return [(alarm.condition, alarm.level, alarm.detail) for alarm in job_alarms(facts, invented=invented)]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (NO_JOBS, []),
        (replace(NO_JOBS, by_stage={"queued": 500}), []),
        (replace(NO_JOBS, overdue=1), [(Condition.JOBS_OVERDUE, WARN, "1")]),
        (replace(NO_JOBS, overdue=7, dead=3), [(Condition.JOBS_OVERDUE, CRITICAL, "10")]),
        (replace(NO_JOBS, gone=2), [(Condition.RESULTS_GONE, WARN, "2")]),
        (replace(NO_JOBS, gone=10), [(Condition.RESULTS_GONE, CRITICAL, "10")]),
        (replace(NO_JOBS, absent=1), [(Condition.ARTIFACT_ABSENT, WARN, "1")]),
        (replace(NO_JOBS, locked=3), [(Condition.ACCOUNT_LOCKED, CRITICAL, "3")]),
        (replace(NO_JOBS, refused=1), [(Condition.FAL_KEY_REFUSED, CRITICAL, "1")]),
    ],
)
def test_jobs_that_need_the_operator(facts: JobFacts, expected: Found) -> None:
    """Each kind of trouble is told with its figure; an account or a key that fails is critical at once (fault 56)."""
    assert found(facts) == expected


@pytest.mark.parametrize(("keyless", "results", "level"), [(4, 0, WARN), (4, 1, CRITICAL)])
def test_a_missing_key_is_worse_where_a_result_waits(keyless: int, results: int, level: AlertLevel) -> None:
    """Without a key webhooks still come; a result that must be fetched is lost within the hour."""
    facts = replace(NO_JOBS, keyless=keyless, keyless_results=results)
    assert found(facts) == [(Condition.FAL_KEY_MISSING, level, "4")]


@pytest.mark.parametrize(
    ("drifted", "often", "expected"),
    [(1, 0, []), (1, 1, ["1"]), (9, 0, []), (10, 0, ["10"])],
)
def test_drift_alarms_where_it_comes_again_or_is_much(drifted: int, often: int, expected: list[str]) -> None:
    """One row set back once is mended in silence; one set back three times, or ten rows, are the operator's."""
    facts = replace(NO_JOBS, drifted=drifted, often_drifted=often)
    assert [detail for what, _, detail in found(facts) if what is Condition.DRIFT] == expected


@pytest.mark.parametrize(("drifted", "invented", "expected"), [(0, 0, []), (1, 0, ["1"]), (0, 2, ["2"]), (1, 2, ["3"])])
def test_the_bot_s_poller_is_told_by_its_traces(drifted: int, invented: int, expected: list[str]) -> None:
    """A row set back, or an artifact that nobody made, says that the bot polls fal itself (fault 54)."""
    facts = replace(NO_JOBS, drifted=drifted)
    told = [detail for what, _, detail in found(facts, invented=invented) if what is Condition.POLLER_SEEN]
    assert told == expected
