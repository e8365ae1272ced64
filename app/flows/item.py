"""A delivery on its way through one turn of apply."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.artifact import ArtifactLook
from app.domain.delivery import ClaimedDelivery
from app.domain.training import Reading
from app.domain.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Item:
    """A delivery under way, and what is known of it so far."""

    claimed: ClaimedDelivery
    reading: Reading | None  # None: could not be read
    verdict: Verdict | None = None  # what is certain without the training
    fetched: bool = False  # the reading is fal's stored result, so there is nothing more to ask for
    unseen: str | None = None  # the artifact's URL that must be looked at first
    looks: Mapping[str, ArtifactLook] = field(default_factory=dict)  # what was found, by URL
