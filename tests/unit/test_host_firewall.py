"""What ufw, nft and iptables say, as a machine prints it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from app.host.commands import Answer, Run
from app.host.firewall import look_at_firewall

UFW = """Status: active
Logging: on (low)
Default: {default} (incoming), allow (outgoing), disabled (routed)
New profiles: skip

To                         Action      From
--                         ------      ----
22/tcp                     ALLOW IN    Anywhere
{rule}
22/tcp (v6)                ALLOW IN    Anywhere (v6)
"""
NFT = """table inet filter {{
\tchain input {{
\t\ttype filter hook input priority filter; policy {policy};
\t\tct state established,related accept
\t\t{rule}
\t}}
}}
"""


def machine(**answers: Answer) -> Run:
    def run(words: Sequence[str]) -> Answer | None:
        return answers.get(words[0])

    return run


def look(run: Run, tmp_path: Path) -> list[str]:
    return [found.code for found in look_at_firewall(8443, "en", run=run, ufw_settings=tmp_path / "none")]


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("8443/tcp                   ALLOW       Anywhere", "firewall.open"),
        ("8443                       ALLOW IN    Anywhere", "firewall.open"),
        ("80,443,8443/tcp            ALLOW       Anywhere", "firewall.open"),
        ("8000:9000/tcp              LIMIT       Anywhere", "firewall.open"),
        ("Anywhere                   ALLOW       Anywhere", "firewall.open"),
        ("8443/tcp (Aisha Webhook)   ALLOW IN    Anywhere", "firewall.open"),
        ("80,443,8443/tcp (Aisha Full) ALLOW IN    Anywhere                   # ours", "firewall.open"),
        ("8443/tcp (Aisha Webhook (v6)) ALLOW IN    Anywhere (v6)", "firewall.open"),
        ("443/tcp (Nginx HTTPS)      ALLOW IN    Anywhere", "firewall.closed"),
        ("8443/tcp on eth0           ALLOW IN    Anywhere", "firewall.open"),
        ("8443/tcp on lo             ALLOW IN    Anywhere", "firewall.closed"),
        ("192.0.2.1 8443/tcp         ALLOW IN    Anywhere", "firewall.open"),
        ("8443/tcp                   ALLOW OUT   Anywhere", "firewall.closed"),
        ("8443/udp                   ALLOW       Anywhere", "firewall.closed"),
        ("8443/tcp                   DENY        Anywhere", "firewall.closed"),
        ("8443/tcp                   ALLOW       10.0.0.5", "firewall.closed"),
        ("443/tcp                    ALLOW       Anywhere", "firewall.closed"),
        ("", "firewall.closed"),
    ],
)
def test_ufw_s_rules_are_read(rule: str, code: str, tmp_path: Path) -> None:
    """The port is open when a rule for everybody names it, and closed otherwise."""
    assert look(machine(ufw=Answer(0, UFW.format(rule=rule, default="deny"))), tmp_path) == [code]


@pytest.mark.parametrize(
    ("default", "rule", "code"),
    [
        ("allow", "", "firewall.open"),
        ("allow", "8443/tcp                   DENY IN     Anywhere", "firewall.closed"),
        ("reject", "", "firewall.closed"),
    ],
)
def test_ufw_s_default_decides_where_no_rule_does(default: str, rule: str, code: str, tmp_path: Path) -> None:
    """Without a rule for the port, what ufw does with everything that comes in counts."""
    assert look(machine(ufw=Answer(0, UFW.format(rule=rule, default=default))), tmp_path) == [code]


def test_ufw_is_asked_for_its_default(tmp_path: Path) -> None:
    """Only `verbose` tells the default and the ports of profiles."""
    asked: list[Sequence[str]] = []

    def run(words: Sequence[str]) -> Answer | None:
        asked.append(words)
        return None

    look(run, tmp_path)
    assert asked[0] == ["ufw", "status", "verbose"]


def test_the_remedy_of_a_closed_ufw_is_its_command(tmp_path: Path) -> None:
    """Whoever copies the command opens the port."""
    [found] = look_at_firewall(
        8443, "en", run=machine(ufw=Answer(0, UFW.format(rule="", default="deny"))), ufw_settings=tmp_path / "x"
    )
    assert found.command == "sudo ufw allow 8443/tcp"


def test_without_root_it_says_so(tmp_path: Path) -> None:
    """What only root may ask is unknown, and the command to ask is given."""
    run = machine(ufw=Answer(1, "ERROR: You need to be root to run this script"), nft=Answer(1, "not permitted"))
    [found] = look_at_firewall(8443, "en", run=run, ufw_settings=tmp_path / "none")
    assert (found.code, found.command) == ("firewall.unknown", "sudo ufw status verbose")


def test_ufw_that_is_off_needs_no_root(tmp_path: Path) -> None:
    """That ufw is off stands in a file that everyone may read."""
    settings = tmp_path / "ufw.conf"
    settings.write_text("# set by ufw\nENABLED=no\n")
    run = machine(ufw=Answer(1, "ERROR: You need to be root to run this script"))
    assert [found.code for found in look_at_firewall(8443, "en", run=run, ufw_settings=settings)] == ["firewall.off"]


@pytest.mark.parametrize(
    ("policy", "rule", "code"),
    [
        ("accept", "tcp dport 22 accept", "firewall.open"),
        ("drop", "tcp dport { 22, 443, 8443 } accept", "firewall.open"),
        ("drop", "ct state new tcp dport 8443 counter packets 0 bytes 0 accept", "firewall.open"),
        ("drop", "tcp dport 8000-9000 accept", "firewall.open"),
        ("drop", "tcp dport 22 accept", "firewall.doubtful"),
        ("accept", "tcp dport 22 accept\n\t\tdrop", "firewall.doubtful"),
    ],
)
def test_nft_s_rules_are_read(policy: str, rule: str, code: str, tmp_path: Path) -> None:
    """Where nft closes by default, a rule must let the port in."""
    assert look(machine(nft=Answer(0, NFT.format(policy=policy, rule=rule))), tmp_path) == [code]


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ("-P INPUT ACCEPT\n", "firewall.off"),
        ("-P INPUT DROP\n-A INPUT -p tcp -m tcp --dport 8443 -j ACCEPT\n", "firewall.open"),
        ("-P INPUT DROP\n-A INPUT -p tcp -m multiport --dports 22,8443 -j ACCEPT\n", "firewall.open"),
        ("-P INPUT DROP\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n", "firewall.doubtful"),
        ("-P INPUT ACCEPT\n-A INPUT -j REJECT --reject-with icmp-host-prohibited\n", "firewall.doubtful"),
    ],
)
def test_iptables_rules_are_read(rules: str, code: str, tmp_path: Path) -> None:
    """Where iptables closes by default, a rule must let the port in."""
    assert look(machine(iptables=Answer(0, rules)), tmp_path) == [code]


def test_no_tool_means_no_firewall_of_this_machine(tmp_path: Path) -> None:
    """Without any tool there is nothing that filters here."""
    assert look(machine(), tmp_path) == ["firewall.off"]
