"""What ufw, nft and iptables say of themselves, as a machine prints it."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.doctor.finding import Finding
from app.doctor.host.commands import Answer, Run
from app.doctor.host.firewall import TOOLS, look_at_firewall

URL = "https://webhook.example.com:8443/health"
CURL = f"curl -sS -o /dev/null -w '%{{http_code}}\\n' {URL}"
UFW = """Status: active

To                         Action      From
--                         ------      ----
22/tcp                     ALLOW       Anywhere
"""
NFT = """# Warning: table ip nat is managed by iptables-nft, do not touch!
table ip nat {
\tchain POSTROUTING {
\t\ttype nat hook postrouting priority srcnat; policy accept;
\t}
}
table inet filter {
\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t}
}
"""
REFUSED = Answer(1, "Operation not permitted (you must be root)")


def machine(**answers: Answer) -> Run:
    """A machine on which only these tools are installed."""

    def run(words: Sequence[str]) -> Answer | None:
        return answers.get(words[0])

    return run


def look(run: Run) -> Finding:
    [found] = look_at_firewall(URL, "en", run=run)
    return found


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ({"ufw": Answer(0, UFW)}, "ufw: Status: active"),
        ({"nft": Answer(0, NFT)}, "nft: table ip nat, table inet filter"),
        ({"iptables": Answer(0, "-P INPUT DROP\n")}, "iptables: -P INPUT DROP"),
        (
            {"iptables": Answer(0, "-P INPUT ACCEPT\n-A INPUT -i lo -j ACCEPT\n-A INPUT -j DROP\n")},
            "iptables: -P INPUT ACCEPT, -A INPUT -i lo -j ACCEPT, -A INPUT -j DROP",
        ),
        ({"ufw": Answer(0, UFW), "nft": Answer(0, NFT)}, "ufw: Status: active; nft: table ip nat, table inet filter"),
        ({"ufw": REFUSED, "nft": Answer(0, NFT)}, "nft: table ip nat, table inet filter"),
        ({"ufw": Answer(0, "Status: inactive\n"), "nft": Answer(0, NFT)}, "nft: table ip nat, table inet filter"),
    ],
)
def test_a_firewall_at_work_is_shown_in_its_own_words(answers: dict[str, Answer], status: str) -> None:
    """Each tool that filters is named with its own status, and nothing is concluded about the port."""
    found = look(machine(**answers))
    assert (found.code, found.text) == ("firewall.active", f"a firewall is at work ({status})")


def test_a_long_list_of_rules_is_cut_short() -> None:
    """Of many rules the first three lines are named."""
    rules = "-P INPUT DROP\n" + "".join(f"-A INPUT -s 192.0.2.{n} -j ACCEPT\n" for n in range(9))
    text = look(machine(iptables=Answer(0, rules))).text
    assert text.endswith("-A INPUT -s 192.0.2.0 -j ACCEPT, -A INPUT -s 192.0.2.1 -j ACCEPT, …)")


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"ufw": Answer(0, "Status: inactive\n")},
        {"nft": Answer(0, "")},
        {"iptables": Answer(0, "-P INPUT ACCEPT\n")},
    ],
)
def test_a_machine_without_a_firewall_at_work(answers: dict[str, Answer]) -> None:
    """No tool, one that is switched off, or one without rules is no firewall at work."""
    assert look(machine(**answers)).code == "firewall.off"


@pytest.mark.parametrize(
    ("answers", "question"),
    [
        ({"ufw": REFUSED, "nft": REFUSED}, "sudo ufw status"),
        ({"nft": REFUSED}, "sudo nft list ruleset"),
        ({"iptables": Answer(None, "")}, "sudo iptables -S INPUT"),
    ],
)
def test_without_root_it_says_so(answers: dict[str, Answer], question: str) -> None:
    """What only root may ask, or what gave no answer in time, is unknown, and the command to ask is given."""
    found = look(machine(**answers))
    assert found.code == "firewall.unknown"
    assert f"({question})" in found.text


@pytest.mark.parametrize("answers", [{}, {"ufw": Answer(0, UFW)}, {"ufw": REFUSED}])
def test_every_finding_tells_how_to_try_from_outside(answers: dict[str, Answer]) -> None:
    """Whatever the tools say, the command is the curl to run on another machine."""
    found = look(machine(**answers))
    assert found.command == CURL
    assert "another machine" in found.remedy


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever a tool prints, reading it ends with one finding."""
    for name in TOOLS:
        assert look(machine(**{name: Answer(0, text)})).code.startswith("firewall.")
