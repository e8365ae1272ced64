"""Whether the machine's own firewall lets fal in. Read only, and only as far as we may ask.

A provider's firewall in front of the machine cannot be seen from here.
"""

import re
from dataclasses import replace
from pathlib import Path

from app.doctor.finding import Catalogue, Finding, Level, Wording, finding
from app.doctor.host.commands import Run, run
from app.doctor.host.firewall_rules import Fate, Verdict, of_iptables, of_nft, of_ufw
from app.domain.language import Language

UFW_SETTINGS = Path("/etc/ufw/ufw.conf")
SHOWN = 3  # addresses named in a finding

WORDS: Catalogue = {
    "firewall.open": Wording(Level.OK, ("{tool}: порт {port} открыт", "{tool}: port {port} is open")),
    "firewall.off": Wording(
        Level.OK,
        (
            "своего файрвола на машине нет; файрвол провайдера отсюда не виден",
            "this machine has no firewall at work; a provider's cannot be seen from here",
        ),
    ),
    "firewall.restricted": Wording(
        Level.WARN,
        (
            "{tool}: на порт {port} пускают только с {sources}; адреса fal меняются",
            "{tool}: port {port} is let in from {sources} only; fal's addresses change",
        ),
        ("Сверяйте их со списком fal (docs/fal.md).", "Compare them with fal's list (docs/fal.md)."),
        "curl -sS https://api.fal.ai/v1/meta",
    ),
    "firewall.closed": Wording(
        Level.FAIL,
        ("{tool} не пускает на порт {port}", "{tool} does not let port {port} in"),
        ("Откройте порт, и для следующей загрузки тоже.", "Open the port, for the next boot, too."),
    ),
    "firewall.doubtful": Wording(
        Level.WARN,
        (
            "{tool}: по умолчанию закрыто, и правила для порта {port} не видно",
            "{tool}: closed by default, and no rule for port {port} is to be seen",
        ),
        ("Если его не открывает другое правило, откройте порт.", "Open the port unless another rule does."),
    ),
    "firewall.unknown": Wording(
        Level.WARN,
        (
            "{tool} есть, но без прав root его не спросить; открыт ли порт {port}, неизвестно",
            "{tool} is there, but only root may ask it; whether port {port} is open is unknown",
        ),
        ("Посмотрите сами.", "Look for yourself."),
    ),
}


def look_at_firewall(
    port: int, language: Language, *, run: Run = run, ufw_settings: Path = UFW_SETTINGS
) -> list[Finding]:
    """Judge whether `port` is let in: ufw where it is on, else the kernel's rules through nft or iptables."""
    unasked: tuple[str, str] | None = None
    ufw = run(["ufw", "status", "verbose"])
    if ufw is not None and not _is_switched_off(ufw_settings):
        if ufw.code == 0 and "Status: active" in ufw.text:
            return [_worded(of_ufw(ufw.text, port), "ufw", port, language)]
        if ufw.code != 0:
            unasked = ("ufw", "sudo ufw status verbose")
    for tool, question, reads in (
        ("nft", ("nft", "-n", "list", "ruleset"), of_nft),
        ("iptables", ("iptables", "-S"), of_iptables),
    ):
        answer = run(question)
        if answer is not None and answer.code != 0:
            unasked = unasked or (tool, f"sudo {' '.join(question)}")
        elif answer is not None and (verdict := reads(answer.text, port)) is not None:
            return [_worded(verdict, tool, port, language)]
    if unasked is None:
        return [finding(WORDS, "firewall.off", language)]
    return [replace(finding(WORDS, "firewall.unknown", language, tool=unasked[0], port=port), command=unasked[1])]


def _worded(verdict: Verdict, tool: str, port: int, language: Language) -> Finding:
    sources = ", ".join([*verdict.sources[:SHOWN], *(["…"] if len(verdict.sources) > SHOWN else [])])
    found = finding(WORDS, verdict.fate.value, language, tool=tool, port=port, sources=sources)
    return replace(found, command=verdict.opening) if verdict.fate in (Fate.CLOSED, Fate.DOUBTFUL) else found


def _is_switched_off(ufw_settings: Path) -> bool:
    """Tell whether ufw is off by its settings, which everyone may read."""
    try:
        text = ufw_settings.read_text(errors="replace")
    except OSError:
        return False
    return re.search(r"^ENABLED=no", text, re.MULTILINE | re.IGNORECASE) is not None
