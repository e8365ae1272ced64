"""ARTIFACT_CHECK and ARTIFACT_HOSTS."""

import pytest
from pydantic import ValidationError

from app.core.config import Settings
from app.domain.artifact import ArtifactCheck


@pytest.mark.parametrize("word", ["require", "note", "off", " Require ", "OFF"])
def test_each_word_is_one_of_the_domain_s(word: str) -> None:
    """What the settings accept, in any case, is what is decided by."""
    assert ArtifactCheck(Settings(artifact_check=word).artifact_check)
    assert ArtifactCheck(Settings().artifact_check) is ArtifactCheck.REQUIRE


@pytest.mark.parametrize(
    ("written", "hosts"),
    [
        ("fal.media,*.fal.media", ("fal.media", "*.fal.media")),
        ('["V3.Fal.Media", "*.fal.media"]', ("v3.fal.media", "*.fal.media")),
        ("storage.googleapis.com", ("storage.googleapis.com",)),
        ("*.модель.kz", ("*.xn--d1acsbk1g.kz",)),
    ],
)
def test_hosts_are_names(written: str, hosts: tuple[str, ...]) -> None:
    """Names and all below a name, in the spelling of the wire."""
    assert Settings(artifact_hosts=written).artifact_hosts == hosts


@pytest.mark.parametrize(
    "written",
    [
        "*",
        "*.",
        "",
        "localhost",
        "*.media",
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "::1",
        "https://fal.media",
        "fal.media:443",
        "a@fal.media",
        "fal.media/files",
        "*.*.media",
    ],
)
def test_neither_addresses_nor_everything_can_be_listed(written: str) -> None:
    """An address, a name of one word, a pattern for the whole internet, and what is no host at all (fault 50)."""
    with pytest.raises(ValidationError):
        Settings(artifact_hosts=written)
