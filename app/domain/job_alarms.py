"""Which facts about jobs are alarming: pure, from what one look saw."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

AT_WORK_LATE = timedelta(
    hours=2
)  # a training that has been at work for longer hangs; waiting in fal's queue is no work
UNHEARD = timedelta(minutes=30)  # since fal last said how a job stands; it keeps results for an hour at most
LATELY = timedelta(days=1)  # how long what nobody can undo is alarming: its alert then ends by itself
OFTEN = 3  # drifts of one job


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What the shared database knows of jobs, each a count.

    `by_stage`: open jobs, by how far fal said that they are; `new` where fal was not asked yet.
    `overdue`: open jobs at work for AT_WORK_LATE or not heard of for UNHEARD. `dead`, `gone` and `absent`: ended LATELY
    without an outcome that could be told, without a result that fal still had, and with an artifact that is not there.
    `drifted`: jobs whose rows were set back LATELY, `often_drifted` those of them that were set back OFTEN. `locked`,
    `refused` and `keyless`: jobs and deliveries that wait because fal locked the account, refused the key, or has none.
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
