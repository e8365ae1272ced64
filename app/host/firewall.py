"""Whether the machine's own firewall lets fal in. Read only, and only as far as we may ask.

A provider's firewall in front of the machine cannot be seen from here.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from app.domain.finding import Finding, Level
from app.domain.wording import Catalogue, Language, Wording, finding
from app.host.commands import Run, run

UFW_SETTINGS = Path("/etc/ufw/ufw.conf")

# A rule for everybody: `8443/tcp (Aisha Webhook)  ALLOW IN  Anywhere`. Ports of an application's profile stand before
# its name, and an address of this machine before the ports.
_UFW_RULE = re.compile(
    r"^(?:[\d.]+ )?(?P<ports>\S+)(?: \(.*?\)+)?(?: on (?P<on>\S+))? +"
    r"(?P<action>ALLOW|LIMIT|DENY|REJECT)(?: IN)? +Anywhere",
    re.MULTILINE,
)

WORDS: Catalogue = {
    "firewall.open": Wording(Level.OK, ("{tool}: порт {port} открыт", "{tool}: port {port} is open")),
    "firewall.off": Wording(
        Level.OK,
        (
            "своего файрвола на машине нет; файрвол провайдера отсюда не виден",
            "this machine has no firewall at work; a provider's cannot be seen from here",
        ),
    ),
    "firewall.closed": Wording(
        Level.FAIL,
        ("ufw включён и порт {port} не пускает", "ufw is on and does not let port {port} in"),
        ("Откройте порт.", "Open the port."),
        "sudo ufw allow {port}/tcp",
    ),
    "firewall.doubtful": Wording(
        Level.WARN,
        (
            "{tool}: по умолчанию закрыто, и правила для порта {port} не видно",
            "{tool}: closed by default, and no rule for port {port} is to be seen",
        ),
        ("Если перед сервером нет ничего другого, откройте порт.", "Open the port unless another rule does."),
        "sudo iptables -I INPUT -p tcp --dport {port} -j ACCEPT",
    ),
    "firewall.unknown": Wording(
        Level.WARN,
        (
            "{tool} есть, но без прав root его не спросить; открыт ли порт {port}, неизвестно",
            "{tool} is there, but only root may ask it; whether port {port} is open is unknown",
        ),
        ("Посмотрите сами.", "Look for yourself."),
        "{question}",
    ),
}


def look_at_firewall(
    port: int, language: Language, *, run: Run = run, ufw_settings: Path = UFW_SETTINGS
) -> list[Finding]:
    """Judge whether `port` is let in: ufw where it is on, else the kernel's rules through nft or iptables."""
    code, tool, question = _judge(port, run, ufw_settings)
    found = finding(WORDS, code, language, port=port, tool=tool, question="")
    if code != "firewall.unknown":
        return [found]
    return [Finding(found.code, found.level, found.text, found.remedy, question)]


def _judge(port: int, run: Run, ufw_settings: Path) -> tuple[str, str, str]:
    unknown = None
    ufw = run(["ufw", "status", "verbose"])
    if ufw is not None and not _is_switched_off(ufw_settings):
        if ufw.code == 0 and "Status: active" in ufw.text:
            return ("firewall.open" if _ufw_allows(ufw.text, port) else "firewall.closed"), "ufw", ""
        if ufw.code != 0:
            unknown = ("firewall.unknown", "ufw", "sudo ufw status verbose")
    for tool, question, reads in (
        ("nft", ("nft", "-n", "list", "ruleset"), _nft_allows),
        ("iptables", ("iptables", "-S", "INPUT"), _iptables_allows),
    ):
        answer = run(question)
        if answer is None:
            continue
        if answer.code != 0:
            unknown = unknown or ("firewall.unknown", tool, f"sudo {' '.join(question)}")
            continue
        allowed = reads(answer.text, port)
        if allowed is not None:
            return ("firewall.open" if allowed else "firewall.doubtful"), tool, ""
    return unknown or ("firewall.off", "", "")


def _is_switched_off(ufw_settings: Path) -> bool:
    """Tell whether ufw is off by its settings, which everyone may read."""
    try:
        text = ufw_settings.read_text(errors="replace")
    except OSError:
        return False
    return re.search(r"^ENABLED=no", text, re.MULTILINE | re.IGNORECASE) is not None


def _ufw_allows(text: str, port: int) -> bool:
    """Read `ufw status verbose`: the first rule that names the port (or everything) decides, else the default."""
    for rule in _UFW_RULE.finditer(text):
        if rule["on"] != "lo" and (rule["ports"] == "Anywhere" or _names(rule["ports"], port)):
            return rule["action"] in ("ALLOW", "LIMIT")
    return re.search(r"^Default: allow \(incoming\)", text, re.MULTILINE) is not None


def _names(ports: str, port: int) -> bool:
    spelled, _, protocol = ports.partition("/")
    return protocol in ("", "tcp") and _covers(spelled.replace(":", "-").split(","), port)


def _nft_allows(text: str, port: int) -> bool | None:
    """Read `nft list ruleset`; None where nothing filters what comes in."""
    closed = re.search(r"hook input[^}]*?policy drop", text) is not None
    closed = closed or re.search(r"hook input[^}]*\n\s*(?:drop|reject)[^\n]*\n\s*\}", text) is not None
    if not closed:
        return None if "hook input" not in text else True
    rules = re.findall(r"tcp dport (?:\{([^}]*)\}|([\d-]+))[^\n]*accept", text)
    return any(_covers(re.split(r",\s*", (many or one).strip()), port) for many, one in rules)


def _iptables_allows(text: str, port: int) -> bool | None:
    """Read `iptables -S INPUT`; None where nothing filters what comes in."""
    rules = text.splitlines()
    closed = any(re.match(r"-P INPUT (DROP|REJECT)", line) for line in rules)
    closed = closed or any(re.match(r"-A INPUT -j (DROP|REJECT)\b", line) for line in rules)
    if not closed:
        return None if len(rules) <= 1 else True
    opened = [m for line in rules if (m := re.search(r"--dports? ([\d:,]+).*-j ACCEPT", line))]
    return any(_covers(match[1].replace(":", "-").split(","), port) for match in opened)


def _covers(ranges: Sequence[str], port: int) -> bool:
    """Tell whether one of `80`, `8000-9000` holds the port; a name of a service holds none."""
    for spelled in ranges:
        first, _, last = spelled.strip().partition("-")
        if first.isdigit() and (last or first).isdigit() and int(first) <= port <= int(last or first):
            return True
    return False
