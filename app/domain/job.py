"""A job: what we expect of fal, from its submission or our first sight of it to its end."""

from enum import StrEnum


class JobKind(StrEnum):
    """What a job makes. Each kind has a webhook path, keys, a reading, a subject and a decision of its own."""

    TRAINING = "training"
    GENERATION = "generation"
    TEST = "test"  # what `aisha-webhook try` sends: about nothing of the bot's, in no total and no alert


class JobState(StrEnum):
    """Where a job stands. `pending` is the only state in which fal is asked about it."""

    PENDING = "pending"
    DONE = "done"  # ended, with an outcome
    DEAD = "dead"  # ended without one that an owner could be told: the operator's
    HISTORIC = "historic"  # older than this server's first look: asked about by hand only, never told


class JobOutcome(StrEnum):
    """How a job ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    GONE = "gone"  # fal has no result of it any more
    SUPERSEDED = "superseded"  # no row of the bot's carries its request id any more


class Stage(StrEnum):
    """How far a job is at fal, as far as fal said."""

    QUEUED = "queued"
    AT_WORK = "at_work"
    FINISHED = "finished"
    GONE = "gone"


class EndpointSource(StrEnum):
    """How we know the endpoint of a job."""

    SUBMITTED = "submitted"  # we sent it there
    REGISTERED = "registered"  # the bot said so
    CONFIRMED = "confirmed"  # a guess under which fal knew the job
    GUESSED = "guessed"  # from the type of the avatar
