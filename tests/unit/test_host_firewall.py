"""What ufw, nft and iptables say, as a machine prints it."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.doctor.host.commands import Answer, Run
from app.doctor.host.firewall import look_at_firewall

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
        ("Anywhere on tailscale0     ALLOW IN    Anywhere", "firewall.closed"),
        ("192.0.2.1 8443/tcp         ALLOW IN    Anywhere", "firewall.open"),
        ("8443/tcp                   ALLOW OUT   Anywhere", "firewall.closed"),
        ("8443/udp                   ALLOW       Anywhere", "firewall.closed"),
        ("8443/tcp                   DENY        Anywhere", "firewall.closed"),
        ("8443/tcp                   ALLOW       10.0.0.5", "firewall.restricted"),
        ("8443/tcp                   ALLOW IN    8.8.4.0/24                 # fal", "firewall.restricted"),
        ("8443/tcp (Aisha Webhook)   ALLOW IN    8.8.4.4", "firewall.restricted"),
        ("Anywhere                   ALLOW IN    8.8.4.4", "firewall.restricted"),
        ("Anywhere                   ALLOW IN    10.0.0.0/8", "firewall.closed"),
        ("Anywhere/udp               ALLOW IN    Anywhere", "firewall.closed"),
        ("8443/tcp                   DENY IN     8.8.4.4\n8443/tcp  ALLOW IN    Anywhere", "firewall.open"),
        ("8443/tcp on eth1           DENY IN     Anywhere\n8443/tcp  ALLOW IN    Anywhere", "firewall.open"),
        ("443/tcp                    ALLOW       Anywhere", "firewall.closed"),
        ("", "firewall.closed"),
    ],
)
def test_ufw_s_rules_are_read(rule: str, code: str, tmp_path: Path) -> None:
    """The port is open when a rule for everybody names it, restricted when only rules for some do, else closed."""
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
        ("accept", "tcp dport 8443 drop", "firewall.closed"),
        ("accept", "tcp dport { 80, 8443 } counter packets 0 bytes 0 reject with tcp reset", "firewall.closed"),
        ("accept", "ct state 0x8 tcp dport 8000-9000 drop", "firewall.closed"),
        ("accept", "ct state { 0x2, 0x8 } tcp dport 8443 drop", "firewall.closed"),
        ("accept", "ct state 0x2,0x4 tcp dport 8443 drop", "firewall.open"),
        ("accept", "tcp dport 8443 limit rate over 10/second drop", "firewall.open"),
        ("accept", 'iifname "eth1" tcp dport 8443 drop', "firewall.open"),
        ("accept", "udp dport 8443 drop", "firewall.open"),
        ("accept", "tcp dport 8443 ip saddr @f2b reject with icmp 3", "firewall.open"),
        ("accept", "tcp dport 8443 accept\n\t\ttcp dport 8443 drop", "firewall.open"),
        ("accept", "ip saddr != { 8.8.4.4, 8.8.8.8 } tcp dport 8443 drop", "firewall.restricted"),
        ("drop", "ip saddr { 8.8.4.4,\n\t\t\t     8.8.8.8 } tcp dport 8443 accept", "firewall.restricted"),
        ("drop", "ip saddr @fal tcp dport { 443, 8443 } accept", "firewall.restricted"),
        ("drop", "tcp dport 8443 ip saddr 10.0.0.0/8 accept", "firewall.restricted"),
        ("drop", "ip saddr 10.0.0.0/8 accept", "firewall.doubtful"),
        ("drop", 'iifname "lo" accept', "firewall.doubtful"),
        ("drop", 'tcp dport 22 accept comment "not 8443 accept"', "firewall.doubtful"),
        ("drop", 'tcp dport 8443 log prefix "drop: " accept', "firewall.open"),
        ("drop", "tcp dport != 22 accept", "firewall.open"),
        ("drop", "tcp dport vmap { 22 : accept, 80 : accept }", "firewall.doubtful"),
        ("drop", "ct state vmap { 0x2 : accept, 0x1 : drop }\n\t\ttcp dport 8443 accept", "firewall.open"),
        ("drop", "jump web\n\t}\n\tchain web {\n\t\ttcp dport 8443 accept", "firewall.open"),
        ("drop", "ip saddr 8.8.4.4 jump web\n\t}\n\tchain web {\n\t\taccept", "firewall.restricted"),
        ("drop", "tcp dport 8443 jump web\n\t}\n\tchain web {\n\t\treturn\n\t\taccept", "firewall.doubtful"),
        ("drop", "jump web\n\t}\n\tchain web {\n\t\tjump web", "firewall.doubtful"),
    ],
)
def test_nft_s_rules_are_read(policy: str, rule: str, code: str, tmp_path: Path) -> None:
    """The first rule that means everybody at the port decides, else the chain's policy; some are not everybody."""
    assert look(machine(nft=Answer(0, NFT.format(policy=policy, rule=rule))), tmp_path) == [code]


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ("-P INPUT ACCEPT\n", "firewall.off"),
        ("-P INPUT DROP\n-A INPUT -p tcp -m tcp --dport 8443 -j ACCEPT\n", "firewall.open"),
        ("-P INPUT DROP\n-A INPUT -p tcp -m multiport --dports 22,8443 -j ACCEPT\n", "firewall.open"),
        ("-P INPUT DROP\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n", "firewall.doubtful"),
        ("-P INPUT ACCEPT\n-A INPUT -j REJECT --reject-with icmp-host-prohibited\n", "firewall.doubtful"),
        ("-P INPUT ACCEPT\n-A INPUT -p tcp -m tcp --dport 8443 -j DROP\n", "firewall.closed"),
        ("-P INPUT ACCEPT\n-A INPUT -p tcp -m tcp --dport 8443 -j REJECT --reject-with tcp-reset\n", "firewall.closed"),
        ("-P INPUT ACCEPT\n-A INPUT -p udp -m udp --dport 8443 -j DROP\n", "firewall.open"),
        ("-P INPUT ACCEPT\n-A INPUT -s 8.8.4.4/32 -p tcp -m tcp --dport 8443 -j DROP\n", "firewall.open"),
        ("-P INPUT ACCEPT\n-A INPUT ! -s 8.8.4.4/32 -p tcp -m tcp --dport 8443 -j DROP\n", "firewall.restricted"),
        ("-P INPUT DROP\n-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 8443 -j ACCEPT\n", "firewall.restricted"),
        (
            "-P INPUT DROP\n-A INPUT -p tcp -m set --match-set fal src -m tcp --dport 8443 -j ACCEPT\n",
            "firewall.restricted",
        ),
        ("-P INPUT DROP\n-A INPUT -i lo -j ACCEPT\n", "firewall.doubtful"),
        (
            '-P INPUT DROP\n-A INPUT -p tcp --dport 22 -m comment --comment "not --dport 8443" -j ACCEPT\n',
            "firewall.doubtful",
        ),
        ("-P INPUT DROP\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n", "firewall.doubtful"),
        ("-P INPUT DROP\n-N WEB\n-A INPUT -j WEB\n-A WEB -p tcp -m tcp --dport 8443 -j ACCEPT\n", "firewall.open"),
        ("-P INPUT ACCEPT\n-P FORWARD DROP\n-N DOCKER\n-A DOCKER -p tcp --dport 8443 -j ACCEPT\n", "firewall.off"),
    ],
)
def test_iptables_rules_are_read(rules: str, code: str, tmp_path: Path) -> None:
    """The first rule that means everybody at the port decides, else the policy; some are not everybody."""
    assert look(machine(iptables=Answer(0, rules)), tmp_path) == [code]


def test_the_strictest_of_nft_s_chains_counts(tmp_path: Path) -> None:
    """A packet must pass every chain at the way in: an open one does not make up for a closed one."""
    other = NFT.format(policy="accept", rule="").replace("filter {", "other {")
    whole = NFT.format(policy="drop", rule="tcp dport 22 accept") + other
    assert look(machine(nft=Answer(0, whole)), tmp_path) == ["firewall.doubtful"]


@pytest.mark.parametrize(
    ("answer", "command"),
    [
        ({"nft": NFT.format(policy="drop", rule="")}, "sudo nft insert rule inet filter input tcp dport 8443 accept"),
        ({"iptables": "-P INPUT DROP\n"}, "sudo iptables -I INPUT -p tcp --dport 8443 -j ACCEPT"),
    ],
)
def test_the_remedy_is_a_command_of_the_tool_that_was_read(
    answer: dict[str, str], command: str, tmp_path: Path
) -> None:
    """What nft closes is not mended with iptables."""
    run = machine(**{tool: Answer(0, said) for tool, said in answer.items()})
    [found] = look_at_firewall(8443, "en", run=run, ufw_settings=tmp_path / "none")
    assert (found.code, found.command) == ("firewall.doubtful", command)


def test_who_is_let_in_is_told(tmp_path: Path) -> None:
    """Of many addresses the first three are named, each once, and no command opens the port to everybody."""
    rules = "\n".join(f"8443/tcp  ALLOW IN    8.8.4.{number}" for number in (1, 1, 2, 3, 4))
    run = machine(ufw=Answer(0, UFW.format(rule=rules, default="deny")))
    [found] = look_at_firewall(8443, "en", run=run, ufw_settings=tmp_path / "none")
    assert "from 8.8.4.1, 8.8.4.2, 8.8.4.3, … only" in found.text
    assert "allow" not in found.command


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='{}!="-,;: \n\tinputhookdroacest0123/@8443', max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever a tool prints, reading it ends with one finding."""
    for tool in ("ufw", "nft", "iptables"):
        shown = {"ufw": "Status: active\n", "nft": "table a b {\nchain c {\n", "iptables": "-A INPUT "}[tool] + text
        run = machine(**{tool: Answer(0, shown)})
        assert len(look_at_firewall(8443, "en", run=run, ufw_settings=Path("/nowhere"))) == 1


def test_no_tool_means_no_firewall_of_this_machine(tmp_path: Path) -> None:
    """Without any tool there is nothing that filters here."""
    assert look(machine(), tmp_path) == ["firewall.off"]
