"""A training that is to be submitted: the presets of the trainers, what fal is asked, what that may cost. Pure.

Facts: docs/fal.md. Prices differ tenfold between fal's own pages, so that none is written down here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from app.domain.nonce import PARAMETER
from app.domain.trainer import Trainer

STEPS_LEAST, STEPS_MOST = 100, 10_000
TRIGGER_LIMIT = 50  # characters; width of avatars.trigger_word
KEY_LIMIT = 255  # characters; width of webhook_jobs.idempotency_key
URL_LIMIT = 2000  # characters

_THOUSANDS = re.compile(r"\b(?:1[ ,_]?000|thousand|1?k)\b")


@dataclass(frozen=True, slots=True)
class Preset:
    """What one trainer is given. `photos`, `trigger` and `steps_name` name its fields; `fixed` goes along as it is.

    `captions` names the field of trainers that know no trigger word and fail without a caption.
    """

    photos: str
    steps: int
    trigger: str | None = None
    captions: str | None = None
    fixed: Mapping[str, object] | None = None
    style: str | None = None  # the switch that a style needs


PRESETS: dict[str, Preset] = {
    "fal-ai/flux-lora-portrait-trainer": Preset(
        "images_data_url", 2500, "trigger_phrase", fixed={"multiresolution_training": True, "subject_crop": True}
    ),
    "fal-ai/flux-lora-fast-training": Preset("images_data_url", 1000, "trigger_word", style="is_style"),
    "fal-ai/turbo-flux-trainer": Preset("images_data_url", 1000, "trigger_phrase"),
    "fal-ai/flux-2-trainer-v2": Preset("image_data_url", 1000, captions="default_caption"),
    "fal-ai/z-image-trainer": Preset("image_data_url", 1000, captions="default_caption"),
}


@dataclass(frozen=True, slots=True)
class Submission:
    """One training as it is put on record before fal is asked. `digest` identifies what was wanted.

    `photos_sha256` is of the photos' address, which itself is kept nowhere: whoever has it can see them.
    """

    key: str
    digest: str
    nonce: str
    subject: str
    trainer: Trainer
    endpoint: str
    steps: int
    trigger: str
    photos_sha256: str


@dataclass(frozen=True, slots=True)
class Price:
    """What fal asks for one unit, in US dollars."""

    dollars: float
    unit: str


def default_trigger(avatar_id: str) -> str:
    """Spell the trigger that the bot trains with.

    >>> default_trigger("0B0F5B9E-5f6c-4a51-9d3b-7f2f4b0a1c11")
    'TOK_0b0f5b9e'
    """
    return f"TOK_{avatar_id.replace('-', '')[:8].lower()}"


def arguments(preset: Preset, photos_url: str, *, trigger: str, steps: int, trainer: Trainer) -> dict[str, object]:
    """Put together what the trainer is given. Our webhook's address is no argument: fal reads it from the URL alone."""
    given: dict[str, object] = {preset.photos: photos_url, "steps": steps, **(preset.fixed or {})}
    if (name := preset.trigger or preset.captions) is not None:
        given[name] = trigger
    if preset.style is not None:
        given[preset.style] = trainer is Trainer.STYLE
    return given


def cost(price: Price, steps: int) -> float | None:
    """Tell what a training of so many steps costs in US dollars; None for a unit that nobody can count beforehand.

    >>> [cost(Price(2.4, unit), 1500) for unit in ("1000 steps", "training", "compute second")]
    [3.6, 2.4, None]
    """
    unit = price.unit.lower()
    if "step" in unit:
        return round(price.dollars * (steps / 1000 if _THOUSANDS.search(unit) else steps), 6)
    counted_once = ("training", "request", "run", "generation", "lora", "model")
    return price.dollars if any(word in unit for word in counted_once) else None


def webhook_address(base: str, trainer: Trainer, nonce: str) -> str:
    """Spell the address that fal is given: with the trainer, as the bot gives it, and with the nonce of the job.

    >>> webhook_address("https://aibots.kz:8443/api/v1/avatar/status_update", Trainer.STYLE, "0" * 32)[-58:]
    '?training_type=style&job=00000000000000000000000000000000'
    """
    parts = urlsplit(base)
    ours = ("training_type", PARAMETER)
    kept = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in ours]
    query = urlencode([*kept, ("training_type", trainer.value), (PARAMETER, nonce)])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


@dataclass(frozen=True, slots=True)
class ListedRequest:
    """A request in fal's list: when it was sent or begun, and the texts that it was given."""

    request_id: str
    at: datetime | None
    texts: tuple[str, ...]
