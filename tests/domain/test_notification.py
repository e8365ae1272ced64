"""What an owner hears, and when: messages as their rows keep them, corrections, what is held back."""

from datetime import timedelta
from typing import Any

import pytest

from app.domain.alert import Alarm, AlertLevel, Condition, unopened
from app.domain.correction import correct
from app.domain.delivery import Claim
from app.domain.digest import Digest, spell_digest
from app.domain.images import OwedImages
from app.domain.job import JobOutcome
from app.domain.notification import (
    Cause,
    ClaimedNotification,
    DigestMessage,
    Notification,
    Owner,
    OwnerMessage,
    OwnerTopics,
    Topic,
    alert_message,
    read_notification,
)
from app.domain.promise import Hold, hold_of
from app.domain.trainer import Trainer
from app.domain.training import Artifacts, Completed, Failed, Outcome, Plan
from app.domain.verdict import Done
from tests.factories import training
from tests.fakes import START

OWNER = Owner("o1", 42, "kk", "UTC+5")
MADE = Completed(Artifacts(lora_url="https://v3.fal.media/a"))
TRAINING = training()


def message(topic: Topic, cause: Cause | None = None, **changes: Any) -> OwnerMessage:
    subject, trainer = TRAINING.avatar_id, TRAINING.trainer
    return OwnerMessage(
        subject, TRAINING.name, TRAINING.request_id, topic, TRAINING.owner, cause, trainer=trainer, **changes
    )


def read(message: Notification, cause: str | None = None, name: str = "", **stored: Any) -> Notification:
    return read_notification(
        subject=message.subject,
        name=name,
        request_id=message.request_id,
        topic=message.topic,
        owner=message.owner,
        cause=cause,
        **stored,
    )


def test_an_owners_message_is_read_back_whole() -> None:
    """Whom, about what, why, of which type and with which images: as it was when it was owed."""
    images = OwedImages(("https://v3.fal.media/a.jpg",), withheld=2, shown=1)
    failed = OwnerMessage("a1", "Айша", "r1", Topic.FAILED, OWNER, Cause.NO_FACE, trainer=Trainer.STYLE)
    shown = OwnerMessage("g1", "a cat", "r2", Topic.IMAGES, OWNER, images=images)
    assert read(failed, "no_face", "Айша", trainer="style") == failed
    assert read(shown, None, "a cat", images=images) == shown


def test_a_digest_is_read_back_whole() -> None:
    """The day and its figures; it is about no row of the bot's."""
    digest = DigestMessage("2026-11-29", Digest(3, 1, None, None, ()), OWNER)
    assert read(digest, name=spell_digest(digest.digest)) == digest
    assert digest.request_id == "digest"


def test_an_alert_of_all_machines_is_read_back_whole() -> None:
    """It has no machine, and its opening to the microsecond; its detail is its name where it has none."""
    opened = START + timedelta(microseconds=123_456)
    alert = unopened(Alarm(Condition.DELIVERIES_BURIED, AlertLevel.CRITICAL), opened)
    told = alert_message(alert, Topic.ALERT, chat_id=7, language="ru")
    assert told.detail == told.request_id == "deliveries_buried"
    assert (told.owner.chat_id, told.owner.language) == (7, "ru")
    assert read(told, "deliveries_buried", "deliveries_buried") == told


def test_words_that_there_are_not_are_refused() -> None:
    """A row that somebody changed by hand is no message."""
    alert = alert_message(unopened(Alarm(Condition.DRIFT, AlertLevel.WARN), START), Topic.ALERT, chat_id=7, language="")
    for row, stored in (
        (message(Topic.FAILED), {"cause": "weather"}),
        (message(Topic.READY), {"trainer": "sculptor"}),
        (alert, {"cause": "weather"}),
        (alert, {}),
    ):
        with pytest.raises(ValueError, match="is not a valid"):
            read(row, **stored)


def test_only_an_owners_message_shows_images() -> None:
    """What the operator reads has none."""
    images = OwedImages(("https://v3.fal.media/a.jpg",))

    def claimed(notification: Notification) -> ClaimedNotification:
        return ClaimedNotification(Claim(1, 1), 0, 0, notification, START, START, START, START)

    assert claimed(message(Topic.IMAGES, images=images)).images == images
    assert claimed(DigestMessage("2026-11-29", Digest(0, 0, None, None, ()), OWNER)).images is None


READY, FAILED = message(Topic.READY), message(Topic.FAILED, Cause.NO_FACE)
UNTOLD = OwnerTopics()
WAS_READY = OwnerTopics(frozenset({Topic.READY}), is_ready=True)
WAS_FAILED = OwnerTopics(frozenset({Topic.FAILED}), is_ready=False)
WAS_BOTH = OwnerTopics(frozenset({Topic.READY, Topic.FAILED}), is_ready=False)


def corrected(outcome: Outcome, planned: OwnerMessage | None, told: OwnerTopics) -> OwnerMessage | None:
    ends = JobOutcome.COMPLETED if isinstance(outcome, Completed) else JobOutcome.FAILED
    plan = Plan(Done("planned"), notification=planned, outcome=ends)
    step = correct(plan, TRAINING, outcome, told)
    assert (step.verdict, step.outcome) == (plan.verdict, ends)
    return step.notification


def test_an_owner_hears_nothing_twice_and_of_every_turn() -> None:
    """The same again is silence; the opposite is a correction, but for the first "ready" after a "failed"."""
    failed, locked = Failed(Cause.NO_FACE, ""), Failed(Cause.OUR_ACCOUNT, "")
    back = message(Topic.CORRECTION, overtakes=True)
    for outcome, planned, told, heard in (
        (MADE, READY, UNTOLD, READY),
        (MADE, None, UNTOLD, None),
        (failed, FAILED, UNTOLD, FAILED),
        (MADE, READY, WAS_READY, None),
        (failed, FAILED, WAS_FAILED, None),
        (MADE, READY, WAS_FAILED, READY),
        (MADE, None, WAS_FAILED, back),
        (MADE, READY, WAS_BOTH, back),
        (failed, FAILED, WAS_READY, message(Topic.CORRECTION, Cause.NO_FACE)),
        (failed, None, WAS_READY, message(Topic.CORRECTION, Cause.NO_FACE)),
        (locked, FAILED, WAS_READY, message(Topic.CORRECTION, Cause.FAL_TROUBLE)),
    ):
        assert corrected(outcome, planned, told) == heard, (outcome, planned, told)


def test_what_an_owner_must_not_hear_yet_is_held() -> None:
    """A failure that is our account's waits for the operator's alert, its end for the account; nothing else waits."""
    for topic in Topic:
        for cause in (None, *Cause):
            expected = Hold.ACCOUNT if topic is Topic.ACCOUNT_BACK else None
            if (topic, cause) == (Topic.FAILED, Cause.OUR_ACCOUNT):
                expected = Hold.ALERT
            assert hold_of(message(topic, cause)) is expected, (topic, cause)
