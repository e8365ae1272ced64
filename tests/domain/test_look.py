"""What follows from what fal says of a job."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.domain import look
from app.domain.delivery import Claim
from app.domain.job import EndpointSource, JobKind, JobState, Stage
from app.domain.look import (
    Ask,
    AtEnd,
    AtWork,
    Broken,
    End,
    OpenJob,
    Pace,
    Queued,
    Result,
    Trouble,
    Unknown,
    Unsaid,
    Wait,
    after_list,
    after_result,
    after_status,
)
from tests.fakes import START

EVERY = timedelta(seconds=60)
PACE = Pace(EVERY, 0.0)
JOB = OpenJob(
    claim=Claim(1, 1),
    failures=0,
    kind=JobKind.TRAINING,
    request_id="r1",
    subject="a1",
    endpoint="fal-ai/flux-lora-portrait-trainer",
    endpoint_source=EndpointSource.REGISTERED,
    status_url=None,
    response_url=None,
    stage=None,
    reason=None,
    first_seen_at=START,
    at_work_since=None,
    stage_since=None,
)
GUESSED = replace(JOB, endpoint_source=EndpointSource.GUESSED)
DOWN = Unsaid(Trouble.FAL_DOWN, "no answer")


def waited(step: object, now: object = START) -> timedelta:
    assert isinstance(step, Wait)
    return step.at - now  # type: ignore[operator,no-any-return]


def test_a_waiting_job_is_looked_at_again_with_its_position() -> None:
    """Queued: the next look comes after RECONCILE_EVERY, and the position is kept."""
    step = after_status(JOB, Queued(8123), START, PACE, at_once=False)
    assert step == Wait(START + EVERY, None, said=True, stage=Stage.QUEUED, position=8123)


def test_looks_become_rarer_the_longer_a_job_works() -> None:
    """After 40 minutes at work the next look is two minutes away, after hours at most WIDEST."""
    begun = replace(JOB, at_work_since=START - timedelta(minutes=40))
    assert waited(after_status(begun, AtWork(), START, PACE, at_once=False)) == timedelta(minutes=2)
    begun = replace(JOB, at_work_since=START - timedelta(hours=9))
    assert waited(after_status(begun, AtWork(), START, PACE, at_once=False)) == look.WIDEST


def test_the_webhook_of_a_finished_job_has_a_moment_to_arrive() -> None:
    """COMPLETED seen for the first time: wait GRACE; seen before, or asked by hand: fetch the result."""
    assert waited(after_status(JOB, AtEnd(), START, PACE, at_once=False)) == look.GRACE
    assert after_status(JOB, AtEnd(), START, PACE, at_once=True) is Ask.RESULT
    assert after_status(replace(JOB, stage=Stage.FINISHED), AtEnd(), START, PACE, at_once=False) is Ask.RESULT


def test_a_404_under_a_guess_asks_elsewhere() -> None:
    """Unknown under a guessed endpoint never means gone; under a known one fal's list is asked."""
    assert after_status(GUESSED, Unknown(), START, PACE, at_once=False) is Ask.ELSEWHERE
    assert after_status(JOB, Unknown(), START, PACE, at_once=False) is Ask.LIST


def test_a_look_that_said_nothing_leaves_the_stage() -> None:
    """A failed look is not a failed job: it waits, longer each time, and names why."""
    waits = [waited(after_status(replace(JOB, failures=n), DOWN, START, PACE, at_once=False)) for n in range(6)]
    assert waits == sorted(waits)
    assert waits[0] == EVERY
    assert waits[-1] == look.WIDEST
    step = after_status(JOB, DOWN, START, PACE, at_once=False)
    assert isinstance(step, Wait)
    assert (step.said, step.stage, step.reason) == (False, None, "fal_down")


def test_answers_without_sense_end_with_the_operator() -> None:
    """A job whose answers make no sense ODD_TRIES times in a row is the operator's, not asked about for ever."""
    odd = Unsaid(Trouble.FAL_ODD, "an empty answer")
    assert isinstance(after_status(replace(JOB, failures=look.ODD_TRIES - 2), odd, START, PACE, at_once=False), Wait)
    step = after_status(replace(JOB, failures=look.ODD_TRIES - 1), odd, START, PACE, at_once=False)
    assert step == End(JobState.DEAD, "fal_odd", detail="an empty answer")


def test_a_finished_job_is_asked_about_often_even_while_fal_is_silent() -> None:
    """Its result expires within minutes, so failures do not spread its looks."""
    job = replace(JOB, stage=Stage.FINISHED, failures=9)
    assert waited(after_result(job, DOWN, START, PACE)) == EVERY


def test_a_replayed_5xx_is_the_models_answer_in_the_end() -> None:
    """5xx of the result endpoint is asked again BROKEN_TRIES times; then it is how the training ended."""
    answers = [after_result(replace(JOB, failures=n), Broken(b"{}"), START, PACE) for n in range(look.BROKEN_TRIES)]
    assert sum((waited(step) for step in answers[:-1]), timedelta()) >= timedelta(minutes=3)
    assert answers[-1] == b"{}"


def test_a_result_enters_the_inbox() -> None:
    """Whatever a result says, success or failure, its body is the step."""
    assert after_result(JOB, Result(b'{"status":"OK"}'), START, PACE) == b'{"status":"OK"}'


def test_a_result_that_is_not_there_yet_is_waited_for() -> None:
    """ "Still in progress" after COMPLETED is tried again soon and is no failure."""
    step = after_result(replace(JOB, stage=Stage.FINISHED), AtWork(), START, PACE)
    assert isinstance(step, Wait)
    assert (step.said, step.at) == (True, START + look.GRACE)


def test_what_the_list_does_not_know_either_is_gone() -> None:
    """Unknown at the queue and on the list, and once more SURE later: nothing is left to ask."""
    first = after_list(JOB, Unknown(), START, PACE)
    assert isinstance(first, Wait)
    assert (first.stage, first.said, first.at) == (Stage.GONE, True, START + look.SURE)
    missing = replace(JOB, stage=Stage.GONE, stage_since=START - look.SURE)
    assert after_list(missing, Unknown(), START, PACE) is None
    assert after_list(replace(JOB, state=JobState.HISTORIC), Unknown(), START, PACE) is None


def test_a_missing_result_that_is_still_finished_is_asked_for_at_once() -> None:
    """The queue may know that a job is finished and not with what: it goes on missing, and does not begin anew."""
    missing = replace(JOB, stage=Stage.GONE, stage_since=START - look.SURE)
    assert after_status(missing, AtEnd(), START, PACE, at_once=False) is Ask.RESULT
    again = after_result(missing, AtWork(), START, PACE)
    assert isinstance(again, Wait)
    assert again.stage is Stage.AT_WORK


def test_a_list_that_cannot_be_had_is_not_waited_for_long() -> None:
    """The list confirms what is gone; without it the job is gone once it has been missing for UNSURE."""
    first = after_list(JOB, DOWN, START, PACE)
    assert isinstance(first, Wait)
    assert first.stage is Stage.GONE
    missing = replace(JOB, stage=Stage.GONE, stage_since=START - look.UNSURE)
    assert after_list(missing, DOWN, START, PACE) is None
    fresh = replace(JOB, stage=Stage.GONE, stage_since=START - look.UNSURE + timedelta(seconds=1))
    assert isinstance(after_list(fresh, DOWN, START, PACE), Wait)


SAID = st.one_of(
    st.builds(Queued, st.none() | st.integers(0, 10_000)),
    st.sampled_from([AtWork(), AtEnd(), Unknown()]),
    st.builds(Unsaid, st.sampled_from(Trouble), st.just("why")),
)


@given(
    said=SAID,
    failures=st.integers(0, 10_000),
    age=st.timedeltas(timedelta(), timedelta(days=400)),
    stage=st.none() | st.sampled_from(Stage),
    every=st.integers(1, 3600),
    jitter=st.floats(0, 0.999),
)
def test_no_job_is_asked_about_too_often_or_forgotten(  # noqa: PLR0917  each is drawn
    said: look.StatusSaid, failures: int, age: timedelta, stage: Stage | None, every: int, jitter: float
) -> None:
    """A wait is no shorter than RECONCILE_EVERY or GRACE, no longer than RECONCILE_EVERY or WIDEST and a tenth."""
    job = replace(JOB, failures=failures, first_seen_at=START - age, at_work_since=START - age, stage=stage)
    pace = Pace(timedelta(seconds=every), jitter)
    step = after_status(job, said, START, pace, at_once=False)
    if isinstance(step, Wait):
        assert min(pace.every, look.GRACE) <= step.at - START <= 1.1 * max(pace.every, look.WIDEST)


def test_what_a_look_found_is_recorded_whole() -> None:
    """Each wait says when, why, whether fal spoke, and how far the job is."""
    soon = START + look.GRACE
    finished, queued = replace(JOB, stage=Stage.FINISHED), replace(JOB, stage=Stage.QUEUED)
    for step, wait in (
        (after_status(JOB, AtWork(), START, PACE, at_once=False), Wait(START + EVERY, None, True, Stage.AT_WORK)),
        (after_status(JOB, AtEnd(), START, PACE, at_once=False), Wait(soon, None, True, Stage.FINISHED)),
        (
            after_status(JOB, DOWN, START, PACE, at_once=True),
            Wait(START + EVERY, DOWN.trouble, False, None, None, "no answer"),
        ),
        (after_result(finished, AtWork(), START, PACE), Wait(soon, None, True, Stage.FINISHED)),
        (after_result(JOB, AtWork(), START, PACE), Wait(soon, None, True, Stage.AT_WORK)),
        (after_result(JOB, DOWN, START, PACE), Wait(START + EVERY, DOWN.trouble, False, None, None, "no answer")),
        (
            after_result(JOB, Broken(b"{}"), START, PACE),
            Wait(START + timedelta(seconds=2), DOWN.trouble, False, None, None, "the result endpoint failed"),
        ),
        (after_list(queued, AtWork(), START, PACE), Wait(soon, None, True, Stage.AT_WORK)),
        (after_list(JOB, DOWN, START, PACE), Wait(soon, DOWN.trouble, False, Stage.GONE, None, "no answer")),
    ):
        assert step == wait


def test_no_wait_is_longer_than_the_pace_of_an_impatient_operator() -> None:
    """RECONCILE_EVERY of two seconds goes before GRACE, and before the pause after a broken answer."""
    hurried, later = Pace(timedelta(seconds=2), 0.0), timedelta(seconds=2)
    assert waited(after_status(JOB, AtEnd(), START, hurried, at_once=False)) == later
    assert waited(after_result(JOB, AtWork(), START, hurried)) == later
    assert waited(after_result(replace(JOB, failures=5), Broken(b"{}"), START, hurried)) == later
    assert waited(after_list(JOB, AtWork(), START, hurried)) == later
    assert waited(after_list(JOB, DOWN, START, hurried)) == later


def test_a_result_that_fal_does_not_know_is_asked_for_as_its_state_is() -> None:
    """Under a guessed endpoint elsewhere, under a known one in fal's list; what the list has is the end."""
    assert after_result(GUESSED, Unknown(), START, PACE) is Ask.ELSEWHERE
    assert after_result(JOB, Unknown(), START, PACE) is Ask.LIST
    assert after_list(JOB, Result(b"{}"), START, PACE) == b"{}"
    assert after_list(JOB, Broken(b"[]"), START, PACE) == b"[]"


def test_waits_are_spread_by_a_tenth_at_most() -> None:
    """Jobs that were seen together come back apart: half the jitter is a twentieth more."""
    spread = Pace(EVERY, 0.5)
    assert waited(after_status(JOB, Queued(1), START, spread, at_once=False)) == 1.05 * EVERY
    assert waited(after_status(JOB, DOWN, START, spread, at_once=False)) == 1.05 * EVERY


def test_a_job_is_carried_by_a_row_unless_it_was_named_to_us() -> None:
    """A guessed endpoint, and one that was confirmed, come from a row of the bot's; only the guess may be wrong."""
    sources = {source: replace(JOB, endpoint_source=source) for source in EndpointSource}
    assert {source for source, job in sources.items() if job.is_guessed} == {EndpointSource.GUESSED}
    carried = {EndpointSource.GUESSED, EndpointSource.CONFIRMED}
    assert {source for source, job in sources.items() if job.was_carried} == carried
