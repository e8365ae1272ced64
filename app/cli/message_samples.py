"""One message of every sort that there is, to be looked at: for the command line, and for the pictures in the docs."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.domain.alert import Alert, AlertLevel, Condition
from app.domain.digest import Digest, FailedTraining
from app.domain.images import OwedImages
from app.domain.message import Message
from app.domain.notification import Cause, DigestMessage, Owner, OwnerMessage, Topic, alert_message
from app.domain.owner_zone import BOTS_DEFAULT
from app.domain.progress import ProgressLine, ProgressMessage, ProgressState
from app.domain.trainer import Trainer
from app.telegram.catalogs import Catalogs
from app.telegram.images_wording import IMAGES_CAUSES
from app.telegram.progress_wording import word_progress
from app.telegram.wording import word

PROGRESS = "progress"
_MOMENT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
_AVATAR = "0b5e3b9c-1c1f-4d9c-9d2b-6f0e2b0f6d11"
_PROMPT = "Портрет в саду на закате"  # what an owner asked for
_REQUEST = "5b0b1ae2-7f57-4f5b-8d7e-1f0a4b0c9e55"


@dataclass(frozen=True, slots=True)
class Sample:
    """One message and what it is: its topic (`progress` for lines of the progress message), and which of that topic.

    `variant` is a cause, a condition, a line, or the avatar's type; empty where there is only one.
    """

    topic: str
    variant: str
    message: Message

    @property
    def name(self) -> str:
        """Both in one word, such as `failed.no_face`."""
        return f"{self.topic}.{self.variant}" if self.variant else self.topic


def owners_samples(catalogs: Catalogs, language: str, name: str, support_url: str | None) -> Iterator[Sample]:
    """Make everything that an owner may ever read about an avatar called `name`."""
    owner = Owner("", 0, language, BOTS_DEFAULT)

    def say(topic: Topic, variant: str, cause: Cause | None = None, trainer: Trainer | None = None) -> Sample:
        message = OwnerMessage(_AVATAR, name, _REQUEST, topic, owner, cause, trainer=trainer)
        return Sample(topic, variant, word(message, catalogs, support_url))

    for trainer in Trainer:
        yield say(Topic.READY, trainer, trainer=trainer)
    for cause in Cause:
        yield say(Topic.FAILED, cause, cause)
    yield say(Topic.ACCOUNT_BACK, "")
    yield say(Topic.TROUBLE_OURS, "")
    yield say(Topic.CORRECTION, Topic.READY, trainer=Trainer.PORTRAIT)
    yield say(Topic.CORRECTION, Topic.FAILED, Cause.UNKNOWN)
    yield from _images_samples(catalogs, owner, support_url)
    for line in ProgressLine:
        percent = 47 if line is ProgressLine.AT_WORK else None
        until = _MOMENT + timedelta(minutes=20) if line is ProgressLine.LATE else None
        said = ProgressMessage(name, owner, ProgressState(line, percent=percent, until=until))
        yield Sample(PROGRESS, line, word_progress(said, catalogs))


def _images_samples(catalogs: Catalogs, owner: Owner, support_url: str | None) -> Iterator[Sample]:
    """Make the captions of images, the links that stand for them, and each failure that has words of its own."""

    def say(topic: Topic, cause: Cause | None = None, images: OwedImages | None = None) -> Message:
        message = OwnerMessage(_AVATAR, _PROMPT, _REQUEST, topic, owner, cause, images=images)
        return word(message, catalogs, support_url)

    urls = tuple(f"https://v3.fal.media/files/{number}.jpg" for number in range(12))
    for variant, owed in (
        ("one", OwedImages(urls[:1])),
        ("album", OwedImages(urls[:4], withheld=1)),
        ("more", OwedImages(urls, shown=10)),
    ):
        message = say(Topic.IMAGES, images=owed)
        if message.photos is not None:
            yield Sample(Topic.IMAGES, variant, Message(message.photos.html, message.photos.plain))
    yield Sample(Topic.IMAGES, "links", say(Topic.IMAGES, images=OwedImages(urls[:4], is_in_doubt=True)))
    for cause in dict.fromkeys(IMAGES_CAUSES.values()):
        yield Sample(Topic.IMAGES_FAILED, cause, say(Topic.IMAGES_FAILED, cause))


def operators_samples(catalogs: Catalogs, language: str, machine: str) -> Iterator[Sample]:
    """Make every alert, the end of each, the word of a trial, and a day's digest."""
    operator = Owner("", 0, language, BOTS_DEFAULT)
    trial = OwnerMessage(_AVATAR, "", _REQUEST, Topic.TEST, operator)
    yield Sample(Topic.TEST, "", word(trial, catalogs))
    digest = Digest(17, 2, timedelta(minutes=24), timedelta(hours=3), (FailedTraining("Айша", 42, Cause.NO_FACE),))
    yield Sample(Topic.DIGEST, "", word(DigestMessage(f"{_MOMENT:%Y-%m-%d}", digest, operator), catalogs))
    for condition in Condition:
        alert = Alert(condition, machine, AlertLevel.CRITICAL, "17", _MOMENT, _MOMENT, _MOMENT)
        for topic in (Topic.ALERT, Topic.RESOLVED):
            message = alert_message(alert, topic, chat_id=0, language=language)
            yield Sample(topic, condition, word(message, catalogs))
