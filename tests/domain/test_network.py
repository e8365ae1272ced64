"""One reading of addresses for the whole server, settings and client included."""

from ipaddress import ip_address

import pytest

from app.core.setting_checks import Wrong, check_url
from app.domain.network import is_loopback, neighbourhood, read_address
from app.fal.client import FetchFailed, get_capped
from tests.http_fake import Given, http_of

LOOPBACK_HOSTS = ["127.0.0.1", "127.0.0.2", "127.255.255.254", "[::1]", "[::ffff:127.0.0.1]", "LocalHost"]
OTHER_HOSTS = ["203.0.113.7", "10.0.0.1", "[2001:db8::1]", "localhost.example", "127.0.0.1.example", "example"]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::1", "::1"),
    ],
)
def test_an_address_is_read(text: str, read: str) -> None:
    """An address is read in its shortest clothes: IPv4 mapped into IPv6 is IPv4 (fault 36)."""
    assert read_address(text) == ip_address(read)


@pytest.mark.parametrize(
    "text",
    [None, "", " 203.0.113.7", "203.0.113.7:443", "[::1]", "::1%eth0", "localhost", "0x7f.1", "2130706433", "127.1"],
)
def test_what_is_no_bare_address_is_none(text: str | None) -> None:
    """Names, ports, brackets, zones and old spellings of numbers are no address (fault 36)."""
    assert read_address(text) is None
    assert neighbourhood(text) == ""


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8::1", "2001:db8::ffff:1:2:3", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("2001:DB8::1", "2001:db8:0::1", True),
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("::ffff:203.0.113.8", "::ffff:203.0.113.7", False),
        (None, "not-an-ip", True),
        ("203.0.113.7", "203.0.113.8", False),
        (None, "203.0.113.8", False),
    ],
)
def test_neighbours_share(one: str | None, other: str | None, *, together: bool) -> None:
    """An IPv6 /64 is one caller, and so is everybody without an address; every IPv4 address is its own."""
    assert (neighbourhood(one) == neighbourhood(other)) is together


@pytest.mark.parametrize("host", LOOPBACK_HOSTS)
@pytest.mark.anyio
async def test_the_client_speaks_to_every_host_that_the_settings_take(host: str) -> None:
    """Whatever the settings accept for plain http:// is asked in fact, not refused as insecure for ever."""
    url = f"http://{host}:8080/jwks"
    assert is_loopback(host.strip("[]"))
    assert check_url(url) == url
    assert await get_capped(http_of(lambda _: Given(200)), url, 100) == (200, b"")


@pytest.mark.parametrize("host", OTHER_HOSTS)
@pytest.mark.anyio
async def test_plain_http_stays_on_this_machine(host: str) -> None:
    """Neither the settings nor the client take plain http:// to anybody else (fault 18)."""
    url = f"http://{host}/jwks"
    with pytest.raises(Wrong, match="this same machine"):
        check_url(url)
    with pytest.raises(FetchFailed, match="insecure_url"):
        await get_capped(http_of(lambda _: Given(200)), url, 100)
