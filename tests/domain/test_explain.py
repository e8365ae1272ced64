"""What the story of a job says it waits for, how it ended, and what to run next."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given

from app.domain.drift import DriftedJob
from app.domain.explain import explain
from app.domain.story import Story, StoryDelivery, StoryFacts, StoryJob, StoryMessage
from app.domain.story_end import LEFT
from tests.docs.project import between, names, page, rows
from tests.fakes import START
from tests.story_rows import drifted, ended_job, facts, job, message, received, stories_facts, subject

AGO = START - timedelta(hours=1)
RECONCILE, WHY, HEALTH = "aisha-webhook reconcile r1", "aisha-webhook why r1", "aisha-webhook healthcheck"
EDIT, DOCTOR = "${EDITOR:-nano} .env", "aisha-webhook doctor"


def told(*parts: Any, **more: Any) -> tuple[str, str]:
    """The code of what is waited for, or of the end, and the next command."""
    story = explain(facts(*parts, **more), START)
    sentence = story.waits_for or story.end
    assert sentence is not None
    assert (story.waits_for is None) != (story.end is None)
    return sentence.code, story.next_command


def codes(*parts: Any) -> list[str]:
    return [sentence.code for sentence in explain(facts(*parts), START).sentences]


def test_an_id_that_nobody_heard_of() -> None:
    """Nothing on record: it is said, with the command that lists what there is."""
    assert told() == ("end.never_heard", "aisha-webhook deliveries list")


def test_a_training_that_was_just_begun() -> None:
    """The bot's row is there and nothing else: the server meets it by itself."""
    assert told(subject("training")) == ("wait.intake", RECONCILE)


def test_a_row_that_ended_before_us() -> None:
    """An avatar carries the id and is finished, and nothing of it went through this server."""
    assert told(subject()) == ("end.before_us", "")


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        (None, "wait.first_look"),
        ("queued", "wait.fal_queue"),
        ("at_work", "wait.fal_work"),
        ("finished", "wait.fetch"),
        ("gone", "wait.confirm_gone"),
        ("paused", "wait.stage"),
    ],
)
def test_a_job_waits_for_fal(stage: str | None, code: str) -> None:
    """How far fal is says what is waited for, a stage of a newer version as well; asking now is the next command."""
    assert told(job(stage=stage), subject("training")) == (code, RECONCILE)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("no_fal_key", ("wait.key_missing", EDIT)),
        ("fal_key_refused", ("wait.key_refused", DOCTOR)),
        ("account_locked", ("wait.account", DOCTOR)),
        ("rate_limited", ("wait.fal_again", RECONCILE)),
        ("fal_down", ("wait.fal_again", RECONCILE)),
        ("fal_odd", ("wait.fal_again", RECONCILE)),
        ("entered", ("wait.apply", HEALTH)),
        ("something_newer", ("wait.again", "aisha-webhook jobs show r1")),
    ],
)
def test_a_job_that_fal_says_nothing_of(reason: str, expected: tuple[str, str]) -> None:
    """Each trouble with fal names what mends it (fault 56)."""
    assert told(job(stage="at_work", reason=reason), subject("training")) == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("endpoint_unknown", ("decide.endpoint", RECONCILE)),
        ("fal_odd", ("decide.fal_odd", RECONCILE)),
        ("entered_before", ("decide.entered_before", "aisha-webhook jobs show r1")),
        ("something_newer", ("decide.job", "aisha-webhook jobs show r1")),
    ],
)
def test_a_job_that_was_given_up(reason: str, expected: tuple[str, str]) -> None:
    """It is the operator's, with the reason."""
    assert told(job(state="dead", reason=reason, finished_at=START)) == expected


def test_a_historic_job() -> None:
    """Older than this server: asked about by hand only."""
    assert told(job(state="historic"), subject("training")) == ("wait.hand", RECONCILE)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (None, ("wait.apply", HEALTH)),
        ("redriven", ("wait.apply", HEALTH)),
        ("orphan", ("wait.bot_row", "aisha-webhook deliveries show 3")),
        ("locked", ("wait.lock", WHY)),
        ("fal_down", ("wait.result", WHY)),
        ("no_fal_key", ("wait.key_missing", EDIT)),
        ("account_locked", ("wait.account", DOCTOR)),
        ("bug", ("wait.after_bug", "aisha-webhook deliveries show 3")),
        ("something_newer", ("wait.again", "aisha-webhook deliveries show 3")),
    ],
)
def test_a_delivery_that_is_not_applied_yet(reason: str | None, expected: tuple[str, str]) -> None:
    """The reason says what it waits for: the bot, a lock, fal's result, a key."""
    assert told(received(state="pending", reason=reason, finished_at=None)) == expected


@pytest.mark.parametrize(
    "row", [received(state="pending", due_at=START - LEFT - timedelta(seconds=1)), job(due_at=AGO)]
)
def test_a_row_that_nobody_takes(row: StoryDelivery | StoryJob) -> None:
    """Due for minutes and still there: the server may not be running, whatever the reason was."""
    assert told(row) == ("wait.server", HEALTH)


@pytest.mark.parametrize(
    ("reason", "code", "verb"),
    [
        ("orphan", "decide.orphan", "redrive"),
        ("conflict", "decide.conflict", "ignore"),
        ("no_fal_key", "decide.key_back", "redrive"),
        ("fal_key_refused", "decide.key_back", "redrive"),
        ("fal_down", "decide.fal_back", "redrive"),
        ("not_ready", "decide.fal_back", "redrive"),
        ("no_artifact", "decide.nothing_to_apply", "ignore"),
        ("result_gone", "decide.nothing_to_apply", "ignore"),
        ("artifact_absent", "decide.file", "show"),
        ("id_mismatch", "decide.mismatch", "ignore"),
        ("ambiguous_training", "decide.row", "redrive"),
        ("status_unknown", "decide.row", "redrive"),
        ("artifact_too_long", "decide.row", "redrive"),
        ("not_json", "decide.format", "show"),
        ("result_unreadable", "decide.format", "show"),
        ("body_forgotten", "decide.emptied", "ignore"),
        ("bug", "decide.after_bug", "redrive"),
        ("something_newer", "decide.other", "show"),
    ],
)
def test_a_buried_delivery_is_the_operator_s(reason: str, code: str, verb: str) -> None:
    """Each reason has its sentence and the command that the runbook gives."""
    assert told(received(state="dead", reason=reason)) == (code, f"aisha-webhook deliveries {verb} 3")


def test_every_reason_of_errors_md_has_a_sentence_of_its_own() -> None:
    """No reason that the pages explain is told by its bare name only."""
    plain = {"wait.again", "decide.other", "decide.job", "wait.stage"}
    makers: dict[str, Callable[..., StoryDelivery | StoryMessage]] = {
        "delivery-reasons": received,
        "notification-reasons": message,
    }
    for mark, make in makers.items():
        for name, states, *_ in rows(between(page("docs/errors.md"), mark)):
            for state in set(states.split(", ")) & {"pending", "dead"}:
                assert told(make(state=state, reason=name.strip("`")))[0] not in plain, (state, name)
    assert len(names(between(page("docs/errors.md"), "delivery-reasons"))) > 20


def test_a_delivery_that_retention_emptied() -> None:
    """Nothing can be applied any more: only ignoring is left."""
    dead = received(state="dead", reason="fal_down", is_emptied=True)
    assert told(dead) == ("decide.emptied", "aisha-webhook deliveries ignore 3")
    assert "delivery.emptied" in codes(dead)


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        ("ready", "end.told.ready"),
        ("failed", "end.told.failed"),
        ("correction", "end.told.correction"),
        ("progress", "end.told.other"),
    ],
)
def test_applied_and_told(topic: str, code: str) -> None:
    """The whole way was gone: nothing is left to do."""
    assert told(ended_job(), received(), message(topic=topic), subject()) == (code, "")


@pytest.mark.parametrize(
    ("state", "reason", "code", "command"),
    [
        ("pending", None, "wait.slot", WHY),
        ("pending", "paced", "wait.slot", WHY),
        ("pending", "slow_down", "wait.slow_down", WHY),
        ("pending", "token_refused", "wait.token", EDIT),
        ("pending", "telegram_down", "wait.telegram", WHY),
        ("pending", "outcome_unknown", "wait.once_more", WHY),
        ("pending", "sending", "wait.sending", WHY),
        ("pending", "something_newer", "wait.again", "aisha-webhook notifications show 5"),
        ("dead", "owner_unreachable", "decide.owner_left", "aisha-webhook notifications redrive 5"),
        ("dead", "no_chat_id", "decide.chat_id", "aisha-webhook notifications redrive 5"),
        ("dead", "outcome_unknown", "decide.told_perhaps", "aisha-webhook notifications redrive 5"),
        ("dead", "rejected", "decide.wording", "aisha-webhook notifications ignore 5"),
        ("dead", "something_newer", "decide.other", "aisha-webhook notifications show 5"),
    ],
)
def test_applied_and_not_sent(state: str, reason: str | None, code: str, command: str) -> None:
    """Blocked, no chat, a pause, a token: the message's reason says why the owner does not know yet."""
    untold = message(state=state, reason=reason, message_id=None)
    assert told(ended_job(), received(), untold, subject()) == (code, command)


@pytest.mark.parametrize(
    ("has_token", "emptied", "expected"),
    [
        (False, False, ("decide.no_token", EDIT)),
        (True, False, ("decide.unsent", "aisha-webhook notifications redrive 5")),
        (True, True, ("end.unsent_forgotten", "")),
    ],
)
def test_written_to_the_log_for_want_of_a_token(has_token: bool, emptied: bool, expected: tuple[str, str]) -> None:
    """Set a token first; with one, send it; once retention has emptied it, it is over."""
    unsent = message(state="unsent", reason="no_token", is_emptied=emptied)
    assert told(received(), unsent, subject(), has_token=has_token) == expected


def test_told_uncertainly() -> None:
    """A send without an answer before the one that went well: the owner may have it twice."""
    parts = (received(), message(uncertain=1), subject())
    assert told(*parts) == ("end.told_perhaps_twice", "")
    assert "message.uncertain" in codes(*parts)


def test_a_failure_that_a_success_overtook_waits_for_nobody() -> None:
    """Its message is never to be told any more, however it stands."""
    failed = message(id=4, topic="failed", state="dead", reason="owner_unreachable")
    assert told(received(), failed, message(), subject()) == ("end.told.ready", "")


def test_superseded() -> None:
    """The bot began anew: nobody is told, and the row that it was about stands with another id."""
    parts = (ended_job(outcome="superseded", reason="superseded"), subject("training", is_carrier=False))
    assert told(*parts) == ("end.superseded", "")
    assert codes(*parts)[-1] == "subject.another"


def test_images_are_no_avatar_s() -> None:
    """A generation ends in words about images, and nothing is said of an avatar that carries its id."""
    told_of = codes(ended_job(kind="generation"), received(state="done", reason="completed"), message(topic="images"))
    assert "delivery.images.completed" in told_of
    assert "subject.none" not in told_of


def test_gone_and_told() -> None:
    """fal had no result any more, and the owner knows."""
    parts = (ended_job(outcome="gone"), received(reason="failed"), message(topic="failed"), subject("error"))
    assert told(*parts) == ("end.told.failed", "")
    assert "job.end.gone" in codes(*parts)


@pytest.mark.parametrize(
    ("job_drifted", "delivery", "expected"),
    [
        (drifted(), received(), ("wait.put_right", WHY)),
        (drifted(drifts=3, drifted_at=AGO), received(), ("wait.put_right", WHY)),
        (drifted(drifts=3, drifted_at=START), received(), ("wait.put_right_again", DOCTOR)),
        (drifted(delivery_id=None), received(state="ignored"), ("wait.put_right", WHY)),
        (drifted(), received(state="ignored"), ("end.told.ready", "")),
        (drifted(), received(state="dead", reason="bug"), ("decide.after_bug", "aisha-webhook deliveries redrive 3")),
    ],
)
def test_a_row_that_was_set_back(job_drifted: DriftedJob, delivery: StoryDelivery, expected: tuple[str, str]) -> None:
    """It is put right, ever more rarely where it comes again; what the operator has or had to decide comes first."""
    assert told(ended_job(), delivery, message(), subject("training"), job_drifted) == expected


def test_a_row_that_is_spoilt_again_and_again_says_when_it_is_put_right() -> None:
    """After the third time four minutes pass before it is (less a little, so that no look is missed)."""
    story = explain(facts(ended_job(), received(), message(), subject(), drifted(drifts=3, drifted_at=START)), START)
    assert story.waits_for is not None
    assert story.waits_for.at == START + timedelta(minutes=4) - timedelta(seconds=5)


def test_a_drift_that_was_mended_is_told() -> None:
    """The story has the moment and how often; nothing is left to do."""
    parts = (ended_job(drifts=2, drifted_at=START), received(), message(), subject())
    assert told(*parts) == ("end.told.ready", "")
    assert "job.drifted" in codes(*parts)


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ((received(reason="already_completed"), subject()), "end.nothing_owed"),
        ((received(state="ignored", reason="orphan"),), "end.closed"),
        ((received(), message(state="ignored", reason="overtaken"), subject()), "end.message_closed"),
        ((ended_job(outcome=None, reason="odd"),), "end.nothing_owed"),
    ],
)
def test_ends_in_silence(parts: tuple[Any, ...], code: str) -> None:
    """Nothing to tell, closed by hand, overtaken: an end as well."""
    assert told(*parts) == (code, "")


def test_what_happened_is_told_in_order() -> None:
    """Moments ascend; how things stand now comes after them."""
    minutes = [START + timedelta(minutes=number) for number in range(9)]
    story = explain(
        facts(
            ended_job(first_seen_at=minutes[0], at_work_since=minutes[2], looked_at=minutes[3], finished_at=minutes[5]),
            received(received_at=minutes[4], repeats=1, last_received_at=minutes[8], finished_at=minutes[5]),
            message(applied_at=minutes[5], finished_at=minutes[6]),
            subject(),
        ),
        minutes[8],
    )
    moments = [sentence.at for sentence in story.sentences]
    known = [at for at in moments if at is not None]
    assert known == sorted(known)
    assert moments[len(known) :] == [None] * (len(moments) - len(known))


def test_a_request_id_cannot_leave_the_command() -> None:
    """What the shell would take for more than a word is quoted."""
    story = explain(StoryFacts("r1; rm -rf /", job(), (), (), (), has_token=True), START)
    assert story.next_command == "aisha-webhook reconcile 'r1; rm -rf /'"


def check(story: Story) -> None:
    """Exactly one of a wait and an end; a wait has its command."""
    assert (story.waits_for is None) != (story.end is None)
    assert story.end is not None or story.next_command
    for sentence in (*story.sentences, story.waits_for, story.end):
        assert sentence is None or not sentence.code.endswith("unknown")


@given(stories_facts)
def test_whatever_the_rows_hold_there_is_a_wait_or_an_end(on_record: StoryFacts) -> None:
    """No state, reason or moment leaves an operator without an answer."""
    check(explain(on_record, START))
