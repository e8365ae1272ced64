"""What fal is asked when a training is submitted, what that costs, and where its webhook goes."""

from urllib.parse import parse_qsl, urlencode, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from app.domain.nonce import nonce_of
from app.domain.submission import PRESETS, Price, arguments, cost, default_trigger, webhook_address
from app.domain.trainer import Trainer

BASE = "https://aibots.kz:8443/api/v1/avatar/status_update"
NONCE = "0123456789abcdef" * 2
PHOTOS = "https://v3.fal.media/photos.zip"


def test_the_trigger_is_spelt_as_the_bot_spells_it() -> None:
    """`TOK_` and the first eight digits of the avatar's id, in lower case and without dashes."""
    assert default_trigger("0B0F5-B9E-5f6c-4a51") == "TOK_0b0f5b9e"


def test_each_trainer_is_given_its_own_fields() -> None:
    """Photos, steps and trigger go into the fields that a trainer knows, a caption where it knows no trigger word."""
    given_to = {
        endpoint.partition("/")[2]: arguments(preset, PHOTOS, trigger="TOK", steps=7, trainer=Trainer.STYLE)
        for endpoint, preset in PRESETS.items()
    }
    images, image = {"images_data_url": PHOTOS, "steps": 7}, {"image_data_url": PHOTOS, "steps": 7}
    fixed = {"multiresolution_training": True, "subject_crop": True}
    assert given_to == {
        "flux-lora-portrait-trainer": {**images, **fixed, "trigger_phrase": "TOK"},
        "flux-lora-fast-training": {**images, "trigger_word": "TOK", "is_style": True},
        "turbo-flux-trainer": {**images, "trigger_phrase": "TOK"},
        "flux-2-trainer-v2": {**image, "default_caption": "TOK"},
        "z-image-trainer": {**image, "default_caption": "TOK"},
    }


def test_the_switch_of_a_style_is_off_for_a_portrait() -> None:
    """A trainer of both is told which of them it trains."""
    preset = PRESETS["fal-ai/flux-lora-fast-training"]
    assert arguments(preset, PHOTOS, trigger="TOK", steps=7, trainer=Trainer.PORTRAIT)["is_style"] is False


def test_a_cost_is_told_where_its_unit_can_be_counted() -> None:
    """By step, by thousand steps however that is spelt, or once for the whole training; else nobody can tell."""
    for unit, dollars in (
        ("step", 3000.0),
        ("Steps", 3000.0),
        ("1000 steps", 3.0),
        ("1,000 Steps", 3.0),
        ("thousand steps", 3.0),
        ("1k steps", 3.0),
        ("training", 2.0),
        ("Request", 2.0),
        ("run", 2.0),
        ("generation", 2.0),
        ("LoRA", 2.0),
        ("model", 2.0),
        ("compute second", None),
        ("", None),
    ):
        assert cost(Price(2.0, unit), 1500) == dollars, unit
    assert cost(Price(0.00123456789, "step"), 1) == 0.001235


def test_the_webhook_address_says_which_training_it_is() -> None:
    """The trainer and the nonce stand in the query, in the place of others that stood there; the rest is kept."""
    assert webhook_address(BASE, Trainer.STYLE, NONCE) == f"{BASE}?training_type=style&job={NONCE}"
    base = f"{BASE}?a=1&training_type=portrait&empty=&job=old#there"
    assert webhook_address(base, Trainer.STYLE, NONCE) == f"{BASE}?a=1&empty=&training_type=style&job={NONCE}"


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4), st.sampled_from(Trainer))
def test_the_nonce_is_read_back_from_any_webhook_address(parameters: dict[str, str], trainer: Trainer) -> None:
    """Whatever else an operator put into the address, its request can be joined to the job, and loses nothing."""
    query = urlsplit(webhook_address(f"{BASE}?{urlencode(parameters)}", trainer, NONCE)).query
    assert nonce_of(query.encode()) == NONCE
    kept = {name: value for name, value in parameters.items() if name not in ("training_type", "job")}
    assert dict(parse_qsl(query, keep_blank_values=True)) == {**kept, "training_type": trainer.value, "job": NONCE}


def test_a_nonce_is_all_of_its_parameter() -> None:
    """32 hex digits in lower case, at any place of the query, and not the end of another parameter's name."""
    for query, found in (
        (f"job={NONCE}", NONCE),
        (f"a=1&job={NONCE}&b=2", NONCE),
        (f"myjob={NONCE}", None),
        (f"job={NONCE}0", None),
        (f"job={NONCE[1:]}", None),
        (f"job={NONCE.upper()}", None),
        ("training_type=style", None),
        ("", None),
    ):
        assert nonce_of(query.encode()) == found, query
