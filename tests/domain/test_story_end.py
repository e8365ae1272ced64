"""What a job waits for and how it ended, in whole sentences: the code, the moment, the facts, and the command."""

from datetime import timedelta
from typing import Any

from app.domain.explain import explain
from app.domain.story import Sentence, StoryLook
from app.domain.story_end import LEFT, StoryStep, end_of, wait_of
from tests.fakes import START
from tests.story_rows import SOON, drifted, ended_job, facts, images_job, job, message, received, subject

SECOND = timedelta(seconds=1)
LATER = SOON + SECOND
EDIT, DOCTOR, HEALTH = "${EDITOR:-nano} .env", "aisha-webhook doctor", "aisha-webhook healthcheck"
RECONCILE, WHY, SHOW_JOB = "aisha-webhook reconcile r1", "aisha-webhook why r1", "aisha-webhook jobs show r1"
pending_delivery = received(state="pending", reason=None, finished_at=None)
pending_message = message(state="pending", reason=None, finished_at=None, message_id=None)


def wait(*rows: Any, **more: Any) -> StoryStep | None:
    return wait_of(facts(*rows, **more), START)


def end(*rows: Any) -> StoryStep:
    return end_of(facts(*rows))


def named(reason: str, row_id: int) -> dict[str, object]:
    return {"id": row_id, "reason": reason}


def test_a_row_that_goes_on_by_itself_says_when() -> None:
    """The moment of the next try, the row and its reason: of a delivery, a message and a job."""
    for row, code, row_id, reason, command in (
        (received(state="pending", reason="orphan"), "wait.bot_row", 3, "orphan", "aisha-webhook deliveries show 3"),
        (received(state="pending", reason="odd"), "wait.again", 3, "odd", "aisha-webhook deliveries show 3"),
        (pending_delivery, "wait.apply", 3, "-", HEALTH),
        (message(state="pending", reason="bug"), "wait.after_bug", 5, "bug", "aisha-webhook notifications show 5"),
        (message(state="pending", reason="odd"), "wait.again", 5, "odd", "aisha-webhook notifications show 5"),
        (pending_message, "wait.slot", 5, "-", WHY),
        (job(stage="queued", reason="fal_down"), "wait.fal_again", 7, "fal_down", RECONCILE),
        (job(stage="queued", reason="odd"), "wait.again", 7, "odd", SHOW_JOB),
        (job(stage="queued"), "wait.fal_queue", 7, "queued", RECONCILE),
        (job(stage="paused"), "wait.stage", 7, "paused", RECONCILE),
        (job(), "wait.first_look", 7, "-", RECONCILE),
    ):
        assert wait(row) == (Sentence(code, SOON, named(reason, row_id)), command), (code, row_id)


def test_what_waits_for_the_operator_has_no_moment() -> None:
    """Nothing is tried: the row and its reason alone, with the command."""
    show_3, redrive_5 = "aisha-webhook deliveries show 3", "aisha-webhook notifications redrive 5"
    for row, code, row_id, reason, command in (
        (received(state="dead", reason="artifact_absent"), "decide.file", 3, "artifact_absent", show_3),
        (received(state="dead", reason="odd"), "decide.other", 3, "odd", show_3),
        (received(state="dead", reason=None), "decide.other", 3, "-", show_3),
        (message(state="dead", reason="bug"), "decide.after_bug", 5, "bug", redrive_5),
        (message(state="dead", reason="odd"), "decide.other", 5, "odd", "aisha-webhook notifications show 5"),
        (message(state="unsent", reason="no_token"), "decide.unsent", 5, "no_token", redrive_5),
        (job(state="dead", reason="fal_odd"), "decide.fal_odd", 7, "fal_odd", RECONCILE),
        (job(state="dead", reason="odd"), "decide.job", 7, "odd", SHOW_JOB),
        (job(state="a_newer_one"), "decide.job", 7, "-", SHOW_JOB),
        (job(state="historic", reason="odd"), "wait.hand", 7, "odd", RECONCILE),
        (job(state="historic"), "wait.hand", 7, "-", RECONCILE),
    ):
        assert wait(row) == (Sentence(code, None, named(reason, row_id)), command), (code, row_id)
    emptied = received(state="dead", reason="bug", is_emptied=True)
    assert wait(emptied) == (
        Sentence("decide.emptied", None, named("bug", 3)),
        "aisha-webhook deliveries ignore 3",
    )
    unsent = message(state="unsent", reason="no_token")
    assert wait(unsent, has_token=False) == (Sentence("decide.no_token", None, named("no_token", 5)), EDIT)


def test_a_row_is_left_after_three_minutes() -> None:
    """Up to them a delivery or a job is merely due; of a message that is due Telegram's limits may be the reason."""
    due, left = START - LEFT, START - LEFT - SECOND
    for state, reason in (("pending", None), ("pending", "orphan")):
        merely_due, nobody_s = (wait(received(state=state, reason=reason, due_at=at)) for at in (due, left))
        assert merely_due is not None
        assert merely_due.sentence.code != "wait.server"
        assert nobody_s == (Sentence("wait.server", left, named(reason or "-", 3)), HEALTH)
    for stage in ("at_work", None):
        merely_due = wait(job(stage=stage, due_at=due))
        assert merely_due is not None
        assert merely_due.sentence.code != "wait.server"
        assert wait(job(stage=stage, due_at=left)) == (Sentence("wait.server", left, named(stage or "-", 7)), HEALTH)
    paced = message(state="pending", reason="paced", due_at=START - timedelta(hours=1))
    assert wait(paced) == (Sentence("wait.slot", START - timedelta(hours=1), named("paced", 5)), WHY)


def test_a_job_that_waits_for_its_turn_while_fal_is_silent_names_the_silence() -> None:
    """Due for longer than three minutes, and a server asked about another job within them: what holds up that one."""
    due = job(stage="at_work", due_at=START - LEFT - SECOND)
    for silence, code, command in (
        ("no_fal_key", "wait.key_missing", EDIT),
        ("fal_key_refused", "wait.key_refused", DOCTOR),
        ("account_locked", "wait.account", DOCTOR),
        ("fal_down", "wait.fal_again", RECONCILE),
        ("a_newer_one", "wait.again", SHOW_JOB),
    ):
        step = StoryStep(Sentence(code, None, named(silence, 7)), command)
        assert wait(due, StoryLook(START - LEFT, silence)) == step, silence
        assert wait(job(reason="fal_odd", due_at=due.due_at), StoryLook(START, silence)) == step, silence
    merely_due = wait(job(stage="at_work", due_at=START - LEFT), StoryLook(START, "fal_key_refused"))
    assert merely_due is not None
    assert merely_due.sentence.code == "wait.fal_work"


def test_a_server_that_asks_no_more_is_not_excused_by_a_silent_fal() -> None:
    """The last look is older than three minutes, or fal said something at it."""
    due = job(stage="at_work", due_at=START - LEFT - SECOND)
    for look in (StoryLook(START - LEFT - SECOND, "fal_key_refused"), StoryLook(START, None)):
        left = wait(due, look)
        assert left is not None
        assert left.sentence.code == "wait.server", look


def test_of_several_open_rows_the_one_that_is_due_first_is_told() -> None:
    """By their moments, not by their ids; a delivery before a message, for a message comes of it."""
    for make in (received, message):
        first = wait(make(id=1, state="pending", due_at=LATER), make(id=2, state="pending", due_at=SOON))
        assert first is not None
        assert (first.sentence.facts["id"], first.sentence.at) == (2, SOON)
    both = wait(pending_message, received(state="pending", due_at=LATER))
    assert both is not None
    assert (both.sentence.facts["id"], both.sentence.at) == (3, LATER)


def test_what_goes_on_by_itself_is_told_before_what_waits_for_the_operator() -> None:
    """Open rows, then a message that the owner lacks, then a delivery set aside, then the job."""
    rows = [
        received(id=1, state="pending", reason="locked"),
        message(id=2, state="pending", reason="sending"),
        message(id=3, state="dead", reason="rejected"),
        received(id=4, state="dead", reason="orphan"),
        job(id=5, state="dead", reason="fal_odd"),
    ]
    found = []
    while rows:
        step = wait(*rows)
        assert step is not None
        found.append((step.sentence.code, step.sentence.facts["id"]))
        rows = rows[1:]
    assert found == [
        ("wait.lock", 1),
        ("wait.sending", 2),
        ("decide.wording", 3),
        ("decide.orphan", 4),
        ("decide.fal_odd", 5),
    ]


def test_the_first_row_that_waits_for_the_operator_is_told() -> None:
    """Rows before it that wait for nothing are passed over, whatever they are."""
    waits = wait(
        message(id=1),
        message(id=2, state="unsent", is_emptied=True),
        message(id=3, state="ignored"),
        message(id=4, state="unsent", reason="no_token"),
        message(id=5, state="dead", reason="rejected"),
    )
    assert waits == (Sentence("decide.unsent", None, named("no_token", 4)), "aisha-webhook notifications redrive 4")
    buried = wait(received(id=1), received(id=2, state="ignored"), received(id=3, state="dead", reason="conflict"))
    assert buried == (Sentence("decide.conflict", None, named("conflict", 3)), "aisha-webhook deliveries ignore 3")


def test_only_a_success_silences_a_failure_and_only_a_failure_is_silenced() -> None:
    """A failure waits to be told until a success is owed; a correction, and the success itself, wait all the same."""
    for state in ("dead", "unsent"):
        failed = message(topic="failed", state=state, reason="odd")
        assert wait(failed) is not None
        assert wait(failed, message(id=6, topic="correction")) is not None
        assert wait(failed, message(id=6)) is None
        for topic in ("ready", "correction", "images"):
            step = wait(failed, message(id=6), message(id=8, topic=topic, state=state, reason="odd"))
            assert step is not None
            assert step.sentence.facts["id"] == 8, topic


def test_a_training_that_was_just_begun_is_met_soon() -> None:
    """Of a row of the bot's alone: one that carries the id, that trains, and of which no delivery has come."""
    begun = subject("training")
    assert wait(begun) == (Sentence("wait.intake", None, named("-", 0)), RECONCILE)
    assert wait(subject(), begun) == wait(begun)
    for rows in (
        (),
        (subject("completed"),),
        (subject("training", is_carrier=False),),
        (subject("training", is_carrier=False), subject("completed")),
        (begun, received()),
        (begun, ended_job()),
    ):
        assert wait(*rows) is None, rows


def test_when_a_row_that_was_set_back_is_put_right() -> None:
    """Within a minute, or after its rest where it comes again; never where the operator closed its delivery."""
    rest = timedelta(minutes=4) - timedelta(seconds=5)  # of the third time
    soon = (Sentence("wait.put_right", None, named("set_back", 7)), WHY)
    assert wait(ended_job(), drifted()) == soon
    assert wait(ended_job(), drifted(drifts=3, drifted_at=START - rest)) == soon
    rests = drifted(drifts=3, drifted_at=START - rest + SECOND)
    assert wait(ended_job(), rests) == (
        Sentence("wait.put_right_again", START + SECOND, named("set_back", 7)),
        DOCTOR,
    )
    assert wait(ended_job(), drifted(), received(id=3, state="ignored")) is None
    assert wait(ended_job(), drifted(), received(id=3), received(id=4, state="ignored")) == soon
    assert wait(ended_job()) is None


def test_how_the_owner_was_told() -> None:
    """By the last message that went out, with its moment and topic; nothing is left to do."""
    for topic, code in (
        ("ready", "end.told.ready"),
        ("failed", "end.told.failed"),
        ("correction", "end.told.correction"),
        ("images", "end.told.other"),
    ):
        assert end(message(topic=topic, finished_at=LATER)) == (Sentence(code, LATER, {"topic": topic}), ""), topic
    doubtful = message(topic="failed", uncertain=1, finished_at=LATER)
    assert end(doubtful) == (Sentence("end.told_perhaps_twice", LATER, {"topic": "failed"}), "")


def test_the_last_message_that_went_out_tells_the_end() -> None:
    """By when it went, else by when it was owed, else by its number; what did not go out tells none."""
    ready, failed = "end.told.ready", "end.told.failed"
    for first, second, code in (
        (message(id=5, finished_at=LATER), message(id=6, topic="failed"), ready),
        (message(id=5), message(id=6, topic="failed"), failed),
        (message(id=6), message(id=5, topic="failed"), ready),
        (message(id=5, finished_at=None, applied_at=LATER), message(id=6, topic="failed", applied_at=START), ready),
        (message(id=5), message(id=6, topic="failed", state="ignored", finished_at=LATER), ready),
    ):
        for rows in ((first, second), (second, first)):
            assert end(*rows).sentence.code == code


def test_how_it_ended_in_silence() -> None:
    """Superseded has its moment; what was never sent, closed, or never owed has none. The weightiest one is told."""
    closed, silent = message(state="ignored", reason="overtaken"), message(state="unsent", is_emptied=True)
    superseded = ended_job(outcome="superseded", finished_at=LATER)
    assert end(superseded, silent, closed, received(state="ignored")) == (Sentence("end.superseded", LATER), "")
    for rows, code in (
        ((silent, closed, received(state="ignored"), ended_job()), "end.unsent_forgotten"),
        ((closed, received(state="ignored"), ended_job()), "end.message_closed"),
        ((received(state="ignored"), received(id=4, state="ignored"), ended_job()), "end.closed"),
        ((received(state="ignored"), received(id=4), ended_job(), subject()), "end.nothing_owed"),
        ((received(),), "end.nothing_owed"),
        ((ended_job(),), "end.nothing_owed"),
        ((images_job(),), "end.nothing_owed"),
        ((message(state="a_newer_one"),), "end.nothing_owed"),
        ((subject("error", is_carrier=False), subject()), "end.before_us"),
    ):
        assert end(*rows) == (Sentence(code), ""), code
    never_heard = (Sentence("end.never_heard"), "aisha-webhook deliveries list")
    assert end() == end(subject(is_carrier=False)) == never_heard


def test_a_failure_that_was_never_sent_is_not_called_forgotten() -> None:
    """A success overtook it and was closed: the message that counts is that one, and retention has emptied nothing."""
    failed, ready = message(topic="failed", state="unsent"), message(id=6, state="ignored", reason="by_hand")
    assert wait(failed, ready) is None
    assert end(failed, ready).sentence == Sentence("end.message_closed")


def test_a_story_has_the_id_the_sentences_and_the_step() -> None:
    """It is told of the id that was asked about, in the order of moments; a wait and its command, or an end and its."""
    waits = explain(facts(job(stage="queued", position=2, looked_at=START - SECOND), subject("training")), START)
    assert (waits.request_id, waits.end, waits.next_command) == ("r1", None, RECONCILE)
    assert waits.waits_for == Sentence("wait.fal_queue", SOON, named("queued", 7))
    assert [sentence.code for sentence in waits.sentences] == ["job.asked", "job.met", "subject.stands", "job.position"]
    over = explain(facts(), START)
    assert (over.request_id, over.sentences, over.waits_for) == ("r1", (), None)
    assert (over.end, over.next_command) == (Sentence("end.never_heard"), "aisha-webhook deliveries list")


def test_what_has_lost_its_moment_happened_last() -> None:
    """A step without a moment stands where now is: after what was, before what another clock dates later."""
    rows = facts(ended_job(finished_at=None), received(received_at=START - SECOND, finished_at=START + SECOND))
    assert [sentence.code for sentence in explain(rows, START).sentences] == [
        "delivery.arrived",
        "job.met",
        "job.end.completed",
        "delivery.completed",
        "subject.none",
    ]
