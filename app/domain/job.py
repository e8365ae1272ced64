"""A job: what we expect of fal, from its submission or our first sight of it to its end."""

from enum import StrEnum


class JobKind(StrEnum):
    """What a job makes. Each kind has a webhook path, keys, a reading, a subject and a decision of its own."""

    TRAINING = "training"
