"""Where the name leads that fal is to call."""

import socket
from pathlib import Path

import pytest

from app.doctor.host.names import Resolve, look_up

NAME = "webhook.example.com"


def answers(*addresses: str) -> Resolve:
    return lambda _name: addresses


def unknown(_name: str) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize(
    ("addresses", "code"),
    [
        (("93.184.216.34",), "dns.ok"),
        (("93.184.216.34", "2606:2800:220:1::1"), "dns.ok"),
        (("127.0.0.1",), "dns.private"),
        (("::1",), "dns.private"),
        (("10.1.2.3",), "dns.private"),
        (("192.168.0.7",), "dns.private"),
        (("169.254.1.1",), "dns.private"),
        (("100.64.0.1",), "dns.private"),
        (("fe80::1%eth0",), "dns.private"),
        (("93.184.216.34", "10.1.2.3"), "dns.private"),
    ],
)
def test_every_address_must_be_public(addresses: tuple[str, ...], code: str, tmp_path: Path) -> None:
    """One private address among those of the name is a fail: fal sends nothing there."""
    found = look_up(NAME, "en", resolve=answers(*addresses), hosts_file=tmp_path / "none")
    assert [one.code for one in found] == [code]


def test_an_unknown_name_is_told_with_the_resolver_s_reason(tmp_path: Path) -> None:
    """A name that does not resolve fails and says what the resolver said."""
    [found] = look_up(NAME, "en", resolve=unknown, hosts_file=tmp_path / "none")
    assert (found.code, "Name or service not known" in found.text) == ("dns.unresolvable", True)


def test_a_name_in_the_hosts_file_proves_nothing(tmp_path: Path) -> None:
    """What stands in /etc/hosts is not what fal sees, so it is a warning and no verdict."""
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.1.1 machine {NAME.upper()}\n")
    [found] = look_up(NAME, "en", resolve=answers("127.0.1.1"), hosts_file=hosts)
    assert found.code == "dns.hosts_file"


def test_a_commented_line_of_the_hosts_file_does_not_count(tmp_path: Path) -> None:
    """A name behind # in /etc/hosts is not in it."""
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.1.1 machine # {NAME}\n")
    [found] = look_up(NAME, "en", resolve=answers("93.184.216.34"), hosts_file=hosts)
    assert found.code == "dns.ok"
