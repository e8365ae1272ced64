"""INVENTED_ARTIFACTS says what is no artifact."""

import pytest
from pydantic import ValidationError

from app.core.config import Settings
from app.domain.invented import Invented
from app.domain.training import Artifacts
from tests.factories import CONFIG, INVENTED, LORA


@pytest.mark.parametrize(
    "url",
    [
        "https://emergency-fallback.com/lora.safetensors",
        "https://cdn.fallback-lora.com/x",
        "http://Startup-Force-Fallback.com:8443/x",
        "https://user@training-manager-fallback.com/",
        "//completeness-check-fallback.com/x",
    ],
)
def test_the_hosts_of_the_bot_s_poller_are_known(url: str) -> None:
    """The built-in list holds every host that was seen in the bot's revisions, whatever stands below it."""
    assert INVENTED.real(Artifacts(lora_url=url, config_url=CONFIG)) == Artifacts()


@pytest.mark.parametrize("finetune_id", ["fallback-style-1", "EMERGENCY-FALLBACK-77aa"])
def test_the_ids_of_the_bot_s_poller_are_known(finetune_id: str) -> None:
    """So are the beginnings of the ids that it makes up."""
    assert INVENTED.real(Artifacts(finetune_id=finetune_id)) == Artifacts()


@pytest.mark.parametrize(
    "real",
    [
        Artifacts(lora_url=LORA, config_url=CONFIG),
        Artifacts(lora_url="https://notfallback-lora.com/x"),
        Artifacts(lora_url="https://v3.fal.media/fallback-lora.com"),
        Artifacts(lora_url="https://[broken"),
        Artifacts(finetune_id="my-fallback-style-1"),
        Artifacts(config_url=CONFIG),
        Artifacts(),
    ],
)
def test_what_only_looks_alike_is_real(real: Artifacts) -> None:
    """A mark must be the host itself or its parent, or the beginning of an id."""
    assert INVENTED.real(real) == real


def test_an_invented_config_beside_a_real_lora_goes_alone() -> None:
    """The LoRA stays."""
    held = Artifacts(lora_url=LORA, config_url="https://fallback-lora.com/config.json")
    assert INVENTED.real(held) == Artifacts(lora_url=LORA)


def test_the_operator_s_list_takes_the_place_of_ours() -> None:
    """Hosts and beginnings are told apart by their dot; case does not matter."""
    settings = Settings(invented_artifacts="Fake.example, made-up-")
    assert settings.invented_artifacts == ("fake.example", "made-up-")
    assert Invented.of(settings.invented_artifacts) == Invented(("fake.example",), ("made-up-",))


@pytest.mark.parametrize("mark", ["ab-", "with space", "https://fallback-lora.com/", "выдумка-", "a..b.com"])
def test_a_mark_that_is_none_is_refused(mark: str) -> None:
    """What is too short would take real ids for invented ones; a URL is no host."""
    with pytest.raises(ValidationError):
        Settings(invented_artifacts=mark)
