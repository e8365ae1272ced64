"""Which facts about jobs are alarming: pure, from what one look saw."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from app.domain.alert import Alarm, AlertLevel, Condition
from app.domain.alert_rules import MANY_BURIED

AT_WORK_LATE = timedelta(
    hours=2
)  # a training that has been at work for longer hangs; waiting in fal's queue is no work
FIRST_IN_LINE = timedelta(hours=6)  # in fal's queue, and at its front: without a balance a job waits there for ever
UNHEARD = timedelta(minutes=30)  # since fal last said how a job stands; it keeps results for an hour at most
LATELY = timedelta(days=1)  # how long what nobody can undo is alarming: its alert then ends by itself
OFTEN = 3  # drifts of one job


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What the shared database knows of jobs, each a count.

    `by_stage`: open jobs, by how far fal said that they are; `new` where fal was not asked yet.
    `overdue`: open jobs at work for AT_WORK_LATE, queued for FIRST_IN_LINE and at the front now, or not heard of for
    UNHEARD. `dead`, `gone` and `absent`: ended LATELY
    without an outcome that could be told, without a result that fal still had, and with an artifact that is not there.
    `drifted`: jobs whose rows were set back LATELY, `often_drifted` those of them that were set back OFTEN. `locked`,
    `refused` and `keyless`: jobs and deliveries that wait because fal locked the account, refused the key, or there is
    none, and owners whose training a locked account has ended; `keyless_results` are the deliveries of the last.
    """

    by_stage: Mapping[str, int]
    overdue: int
    dead: int
    gone: int
    absent: int
    drifted: int
    often_drifted: int
    locked: int
    refused: int
    keyless: int
    keyless_results: int


def job_alarms(facts: JobFacts, *, invented: int) -> Iterator[Alarm]:
    """Name what is wrong with jobs. `invented`: rows of open jobs that hold an artifact which nobody made."""
    for condition, count in (
        (Condition.JOBS_OVERDUE, facts.overdue + facts.dead),
        (Condition.RESULTS_GONE, facts.gone),
        (Condition.ARTIFACT_ABSENT, facts.absent),
    ):
        if count:
            yield Alarm(condition, AlertLevel.CRITICAL if count >= MANY_BURIED else AlertLevel.WARN, str(count))
    for condition, count in (
        (Condition.ACCOUNT_LOCKED, facts.locked),
        (Condition.FAL_KEY_REFUSED, facts.refused),
    ):
        if count:
            yield Alarm(condition, AlertLevel.CRITICAL, str(count))
    if facts.keyless:
        # Webhooks come without a key as well; a result that must be fetched is lost within the hour.
        level = AlertLevel.CRITICAL if facts.keyless_results else AlertLevel.WARN
        yield Alarm(Condition.FAL_KEY_MISSING, level, str(facts.keyless))
    if facts.often_drifted or facts.drifted >= MANY_BURIED:
        yield Alarm(Condition.DRIFT, AlertLevel.WARN, str(facts.drifted))
    if traces := facts.drifted + invented:
        yield Alarm(Condition.POLLER_SEEN, AlertLevel.WARN, str(traces))
