"""FAL_WEBHOOK_URL against where the server is."""

from dataclasses import replace

import pytest

from app.doctor.host.webhook_url import Place, compare

PATH = "/api/v1/avatar/status_update"
PLACE = Place("aibots.kz", PATH, ("aibots.kz", "*.aibots.kz", "localhost"), [8443])


@pytest.mark.parametrize(
    ("url", "codes"),
    [
        (f"https://aibots.kz:8443{PATH}", ["webhook_url.ok"]),
        (f"https://aibots.kz:8443{PATH}?training_type=style", ["webhook_url.ok"]),
        (f"https://AIBOTS.kz:8443{PATH}", ["webhook_url.ok"]),
        (f"https://api.aibots.kz:8443{PATH}", ["webhook_url.ok"]),
        (f"https://aibots.kz{PATH}", ["webhook_url.port"]),
        (f"https://aibots.kz:8444{PATH}", ["webhook_url.port"]),
        (f"http://localhost:8443{PATH}", ["webhook_url.plain"]),
        (f"https://aibots.kr:8443{PATH}", ["webhook_url.host"]),
        (f"https://evilaibots.kz:8443{PATH}", ["webhook_url.host"]),
        (f"https://aibots.kz:8443{PATH}/", ["webhook_url.path"]),
        ("https://aibots.kz:8443", ["webhook_url.path"]),
        ("http://localhost/hook", ["webhook_url.plain", "webhook_url.port", "webhook_url.path"]),
        (None, ["webhook_url.absent"]),
    ],
)
def test_each_part_of_the_address_is_compared(url: str | None, codes: list[str]) -> None:
    """Scheme, host, port and path must be ours, and each that is not is told."""
    assert [found.code for found in compare(url, PLACE, "en")] == codes


def test_a_port_of_the_proxy_in_front_is_right() -> None:
    """Where nginx takes 443 and passes on to us, the address may name 443."""
    place = replace(PLACE, ports=[443, 8443])
    assert [found.code for found in compare(f"https://aibots.kz{PATH}", place, "en")] == ["webhook_url.ok"]
    assert place.url == f"https://aibots.kz{PATH}"


@pytest.mark.parametrize("url", [None, f"https://aibots.kz:8443{PATH}"])
def test_our_own_name_must_be_answered_to(url: str | None) -> None:
    """A name that ALLOWED_HOSTS does not let in would meet 400 with every delivery."""
    place = replace(PLACE, allowed_hosts=("localhost",))
    assert "webhook_url.refused_host" in [found.code for found in compare(url, place, "en")]


def test_the_remedy_spells_the_right_address() -> None:
    """Whoever copies the remedy has the right address."""
    [found] = compare("https://aibots.kz:1/x", PLACE, "en")[:1]
    assert f"FAL_WEBHOOK_URL=https://aibots.kz:8443{PATH}" in found.remedy
