"""Which firewall tool is at work on this machine, in the tool's own words. Reads only; rules are not interpreted.

Whether a port is open is known only from outside: a provider's firewall in front of the machine cannot be seen from
here. Each finding therefore carries the curl to run on another machine.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.doctor.finding import CURL_STATUS, Catalogue, Finding, Level, Wording, finding
from app.doctor.host.commands import Run, run
from app.domain.language import Language, msgid

SHOWN = 3  # lines of one tool's answer named in a finding
TRY_FROM_OUTSIDE = msgid("Try from another machine: any code but 000 means that the port is open.")

WORDS: Catalogue = {
    "firewall.active": Wording(
        Level.OK,
        msgid("a firewall is at work ({status})"),
        TRY_FROM_OUTSIDE,
        CURL_STATUS,
    ),
    "firewall.off": Wording(
        Level.OK,
        msgid("this machine has no firewall at work; a provider's cannot be seen from here"),
        TRY_FROM_OUTSIDE,
        CURL_STATUS,
    ),
    "firewall.unknown": Wording(
        Level.WARN,
        msgid("{tool} is there, but only root may ask it (sudo {question})"),
        TRY_FROM_OUTSIDE,
        CURL_STATUS,
    ),
}


@dataclass(frozen=True, slots=True)
class Tool:
    """How a tool is asked for its state, which lines of the answer state it, and which of them mean that it filters."""

    question: Sequence[str]
    states: re.Pattern[str]
    filters: re.Pattern[str]


TOOLS: Mapping[str, Tool] = {
    "ufw": Tool(("ufw", "status"), re.compile(r"^Status: .*", re.MULTILINE), re.compile(r"^Status: active")),
    "nft": Tool(("nft", "list", "ruleset"), re.compile(r"^table [^{\n]*\w", re.MULTILINE), re.compile(r"^table ")),
    "iptables": Tool(
        ("iptables", "-S", "INPUT"),
        re.compile(r"^-[PA] INPUT .*", re.MULTILINE),
        re.compile(r"^-P INPUT (?!ACCEPT)|^-A "),
    ),
}


def look_at_firewall(url: str, language: Language, *, run: Run = run) -> list[Finding]:
    """Tell which tool filters what comes in, and how to try `url` from outside. Returns one finding."""
    active: list[str] = []
    unasked: list[str] = []
    for name, tool in TOOLS.items():
        answer = run(tool.question)
        if answer is None:
            continue
        if answer.code != 0:
            unasked.append(name)
            continue
        states = tool.states.findall(answer.text)
        if any(tool.filters.match(line) for line in states):
            active.append(f"{name}: {', '.join([*states[:SHOWN], *(['…'] if len(states) > SHOWN else [])])}")
    if active:
        return [finding(WORDS, "firewall.active", language, status="; ".join(active), url=url)]
    if unasked:
        question = " ".join(TOOLS[unasked[0]].question)
        return [finding(WORDS, "firewall.unknown", language, tool=unasked[0], question=question, url=url)]
    return [finding(WORDS, "firewall.off", language, url=url)]
