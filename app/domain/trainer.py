"""The two types of avatars, each with a trainer of its own."""

from enum import StrEnum


class Trainer(StrEnum):
    """The values of avatars.training_type."""

    PORTRAIT = "portrait"
    STYLE = "style"
