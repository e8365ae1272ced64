"""What a firewall's rules make of a port: ufw's, nftables' and iptables', in their order and through their jumps. Pure.

Source: ufw(8), nft(8), iptables-extensions(8).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_network

DEEPEST = 16  # chains that lead to one another
ENDS = ("accept", "drop", "return")

# `8443/tcp (Aisha Webhook)  ALLOW IN  Anywhere`: a profile's ports, then its name; before them an address of ours.
_UFW_RULE = re.compile(
    r"^(?:[\d.]+ )?(?P<ports>\S+)(?: \(.*?\)+)?(?: on (?P<on>\S+))? +"
    r"(?P<action>ALLOW|LIMIT|DENY|REJECT)(?: IN)? +(?!OUT\b|FWD\b)(?P<source>\S+)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one tool prints a rule: what never matters here, whom it cannot mean, and its four parts."""

    idle: re.Pattern[str]  # said of every new connection
    foreign: re.Pattern[str]  # this machine's own packets, or another protocol
    port: re.Pattern[str]
    source: re.Pattern[str]
    end: re.Pattern[str]


_NFT = Dialect(
    # `nft -n` writes a state as its bit: 0x8 is new.
    re.compile(
        r'comment "[^"]*"|\blog(?: (?:prefix|level|group|flags|snaplen|queue-threshold) (?:"[^"]*"|\S+))*'
        r"|\bcounter(?: packets \d+ bytes \d+)?|\bct state (?:\{ )?(?:\S+, ?)*(?:new|0x0*8)(?:, ?\S+)*(?: \})?(?= |$)"
        r"|\b(?:meta l4proto|ip protocol) (?:tcp|6)\b|\bmeta nfproto (?:ipv4|2)\b"
    ),
    re.compile(r'\biif(?:name)? "lo"|\budp dport|\b(?:l4proto|protocol) (?:udp|17)\b'),
    re.compile(r"\b(?:tcp|th) dport (?P<but>!= )?(?P<ports>\{[^}]*\}|\S+)"),
    re.compile(r"\bip6? saddr (?P<but>!= )?(?P<sources>\{[^}]*\}|\S+)"),
    re.compile(r"\b(?:(?P<does>accept|drop|reject|return)\b.*|(?:jump|goto) (?P<chain>\S+))$"),
)
_IPTABLES = Dialect(
    re.compile(
        r'--comment (?:"(?:\\.|[^"\\])*"|\S+)|-m (?:tcp|multiport|comment|conntrack|state|set|iprange)\b'
        r"|(?<!! )-p tcp\b|--(?:ct)?state \S*\bNEW\b\S*"
    ),
    re.compile(r"(?<!! )-i lo\b|(?<!! )-p (?!tcp\b)"),
    re.compile(r"(?P<but>! )?--dports? (?P<ports>\S+)"),
    re.compile(r"(?P<but>! )?(?:-s|--src-range|--match-set) (?P<sources>\S+)(?: src\b)?"),
    re.compile(r"-[jg] (?:(?P<does>ACCEPT|DROP|REJECT|RETURN)\b|(?P<chain>\S+)).*$"),
)


class Fate(StrEnum):
    """What becomes of a stranger who knocks at the port: the code of its finding, the best first."""

    OPEN = "firewall.open"
    RESTRICTED = "firewall.restricted"
    DOUBTFUL = "firewall.doubtful"
    CLOSED = "firewall.closed"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as far as our port goes: `does` is accept, drop, return, or the chain that it leads to.

    `is_ours` is None where the rule names no port. `is_bare` where nothing else is asked of the packet.
    """

    does: str
    is_ours: bool | None
    sources: tuple[str, ...] = ()  # empty: everybody
    is_all_but: bool = False  # everybody but `sources`
    is_bare: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one tool's rules make of the port, from where they let in, and the command that opens it."""

    fate: Fate
    sources: Sequence[str]
    opening: str


Chains = Mapping[str, Sequence[Rule]]


def _judge(chains: Chains, start: str, opening: str, *, is_open: bool) -> Verdict:
    """Follow the rules from the chain `start`; `is_open` is what counts where none of them decides."""
    admitted: list[str] = []
    fate = _walk(chains, start, admitted) or (Fate.OPEN if is_open else Fate.DOUBTFUL)
    if fate is not Fate.OPEN and admitted:
        fate = Fate.RESTRICTED
    return Verdict(fate, list(dict.fromkeys(admitted)), opening)


def _walk(chains: Chains, name: str, admitted: list[str], depth: int = 0) -> Fate | None:
    """Tell what decides about everybody, None if nothing does; who else is let in goes into `admitted`."""
    for rule in chains.get(name, ()) if depth < DEEPEST else ():
        is_partial = bool(rule.sources) and not rule.is_all_but
        is_for_all = rule.is_bare and not is_partial
        if rule.is_ours is False or (rule.is_ours is None and not rule.is_bare and rule.does in ENDS):
            continue
        match rule.does:
            case "return" if is_for_all:
                return None
            case "accept" if not is_partial:
                return Fate.OPEN
            case "accept" if rule.is_ours or any(_may_be_outside(source) for source in rule.sources):
                admitted += rule.sources
            case "drop" if is_for_all:
                admitted += rule.sources
                return Fate.CLOSED if rule.is_ours else Fate.DOUBTFUL
            case chain if chain not in ENDS:
                fate = _walk(chains, chain, [] if is_partial else admitted, depth + 1)
                if is_partial and fate is Fate.OPEN:
                    admitted += rule.sources
                elif fate is Fate.OPEN or (is_for_all and fate is not None):
                    return fate
    return None


def _may_be_outside(source: str) -> bool:
    try:
        return ip_network(source, strict=False).is_global
    except ValueError:  # the name of a set
        return True


def of_ufw(text: str, port: int) -> Verdict:
    """Read `ufw status verbose`: the first rule that names the port (or everything) decides, else the default."""
    rules = []
    for line in _UFW_RULE.finditer(text):
        ports, _, protocol = line["ports"].partition("/")
        if line["on"] == "lo" or protocol not in ("", "tcp"):
            continue
        does = "accept" if line["action"] in ("ALLOW", "LIMIT") else "drop"
        is_ours = None if ports == "Anywhere" else _covers(ports, port)
        sources = () if line["source"] == "Anywhere" else (line["source"],)
        rules.append(Rule(does, is_ours, sources, is_bare=line["on"] is None))
    is_open = re.search(r"^Default: allow \(incoming\)", text, re.MULTILINE) is not None
    verdict = _judge({"": rules}, "", f"sudo ufw allow {port}/tcp", is_open=is_open)
    return replace(verdict, fate=Fate.CLOSED) if verdict.fate is Fate.DOUBTFUL else verdict


def of_nft(text: str, port: int) -> Verdict | None:
    """Read `nft -n list ruleset`: every chain at the way in must let pass; None where there is none."""
    chains: dict[str, list[Rule]] = {}
    starts: dict[str, bool] = {}
    table = chain = ""
    for line in re.sub(r",\s*\n\s*", ", ", text).splitlines():
        match line.split():
            case ["table", family, name, "{"]:
                table = f"{family} {name}"
            case ["chain", name, "{"]:
                chain = f"{table} {name}"
                chains[chain] = []
            case ["}"]:
                chain = ""
            case ["type", *_] if chain and "hook input" in line:
                starts[chain] = "policy drop" not in line
            case _ if chain:
                chains[chain] += _rules(line, _NFT, port, f"{table} ")
    verdicts = [
        _judge(chains, start, f"sudo nft insert rule {start} tcp dport {port} accept", is_open=is_open)
        for start, is_open in starts.items()
    ]
    return max(verdicts, key=lambda verdict: list(Fate).index(verdict.fate), default=None)


def of_iptables(text: str, port: int) -> Verdict | None:
    """Read `iptables -S`; None where nothing filters what comes in."""
    chains: dict[str, list[Rule]] = {}
    is_open = "-P INPUT ACCEPT" in text
    for name, rule in re.findall(r"^-A (\S+) (.+)$", text, re.MULTILINE):
        chains.setdefault(name, []).extend(_rules(rule, _IPTABLES, port))
    if is_open and "-A INPUT " not in text:
        return None
    return _judge(chains, "INPUT", f"sudo iptables -I INPUT -p tcp --dport {port} -j ACCEPT", is_open=is_open)


def _rules(line: str, dialect: Dialect, port: int, prefix: str = "") -> Iterator[Rule]:
    """Read one line of a chain; nothing where it decides nothing about us. `prefix` goes before a chain's name."""
    text = dialect.idle.sub("", line).strip()
    end = dialect.end.search(text)
    if end is None or dialect.foreign.search(text):
        return
    asked = text[: end.start()]
    named, source = dialect.port.search(asked), dialect.source.search(asked)
    sources = tuple(re.split(r",\s*", source["sources"].strip("{} "))) if source else ()
    yield Rule(
        prefix + end["chain"] if end["chain"] else end["does"].lower().replace("reject", "drop"),
        None if named is None else _covers(named["ports"].strip("{}"), port) != bool(named["but"]),
        sources,
        is_all_but=source is not None and bool(source["but"]),
        is_bare=not dialect.source.sub("", dialect.port.sub("", asked)).strip(),
    )


def _covers(ports: str, port: int) -> bool:
    """Tell whether one of `80`, `8000-9000`, `8000:9000` holds the port; a name of a service holds none."""
    for spelled in ports.replace(":", "-").split(","):
        first, _, last = spelled.strip().partition("-")
        if first.isdigit() and (last or first).isdigit() and int(first) <= port <= int(last or first):
            return True
    return False
