"""certbot's deploy hook, where `aisha-webhook cert install-hook` has put it: it hands certbot's pair to this server."""

import shlex
from pathlib import Path

HOOK = Path("/etc/letsencrypt/renewal-hooks/deploy/aisha-webhook.sh")  # certbot runs what lies there


def hand_over(domain: str, hook: Path) -> str:
    """Return the command that runs the hook now, as certbot does after a renewal."""
    lineage = shlex.quote(f"/etc/letsencrypt/live/{domain}")
    return f"sudo RENEWED_LINEAGE={lineage} RENEWED_DOMAINS={shlex.quote(domain)} {shlex.quote(str(hook))}"


def handed_over(cert: Path) -> str | None:
    """Return the command that puts certbot's pair in the place of this one; None where no hook writes this file."""
    try:
        lines = HOOK.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    values = {name: value for name, _, value in (line.partition("=") for line in lines)}
    if values.get("cert") != shlex.quote(str(cert.absolute())) or "domain" not in values:
        return None
    return hand_over("".join(shlex.split(values["domain"])), HOOK)
