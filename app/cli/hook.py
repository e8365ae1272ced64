"""`aisha-webhook cert install-hook`: certbot hands each renewed certificate to us."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.catalog import translate_all
from app.cli.output import again_as_root
from app.core.exit_codes import Exit
from app.core.setting_loader import load_settings
from app.domain.language import msgid
from app.files.atomic_write import put
from app.tls.deploy_hook import HOOK, hand_over

LIVE = Path("/etc/letsencrypt/live")
SCRIPT = Path(__file__).parents[2] / "deploy" / "certbot" / "aisha-webhook.sh"
EXECUTABLE = 0o755

WORDS = {
    "written": msgid("The hook is written: {hook}"),
    "current": msgid("The hook is in place and has not changed: {hook}"),
    "next": msgid(
        "Next:\n"
        "1. Get a certificate; where port 80 is not open, with the plugin of your DNS provider (docs/install.md):\n"
        "   {obtain}\n"
        "2. Hand it to the server for the first time; on renewals certbot will do it:\n"
        "   {run}"
    ),
    "hand_over": msgid(
        "Next: hand the certificate to the server for the first time; certbot will do it on renewals:\n  {run}"
    ),
    "unwritable": msgid("{hook}: cannot be written ({reason}). Run as root: {sudo}"),
}


def install_hook(
    *, into: Annotated[Path, typer.Option(help="Where to write it, when not where certbot looks.")] = HOOK
) -> None:
    """Make certbot hand renewed certificates to this server; exit 1 when the hook cannot be written."""
    settings = load_settings()
    words = translate_all(WORDS, settings.operator_language)
    domain = settings.api_domain.encode("idna").decode("ascii").lower()
    content = filled_in(SCRIPT.read_text(), domain, settings.ssl_cert_path.absolute(), settings.ssl_key_path.absolute())
    try:
        written = _write(into, content)
    except OSError as error:
        sys.stderr.write(words["unwritable"].format(hook=into, reason=error.strerror, sudo=again_as_root()) + "\n")
        raise typer.Exit(Exit.CHECK_FAILED) from error
    steps = {"obtain": f"sudo certbot certonly --standalone -d {domain}", "run": hand_over(domain, into)}
    following = words["hand_over" if os.access(LIVE / domain, os.F_OK) else "next"]
    headline = words["written" if written else "current"].format(hook=into)
    sys.stdout.write(f"{headline}\n{following.format(**steps)}\n")


def filled_in(script: str, domain: str, cert: Path, key: Path) -> str:
    """Put the settings into the lines of the script that name them."""
    values = {"domain": domain, "cert": str(cert), "key": str(key)}
    lines = script.splitlines()
    for number, line in enumerate(lines):
        name, is_assignment, _ = line.partition("=")
        if is_assignment and name in values:
            lines[number] = f"{name}={shlex.quote(values.pop(name))}"
    assert not values, f"{SCRIPT} has no line for {', '.join(values)}"
    return "\n".join(lines) + "\n"


def _write(hook: Path, content: str) -> bool:
    """Write the hook unless it is there already; return whether it was written. Raises OSError."""
    if hook.is_file() and hook.read_text() == content and hook.stat().st_mode & EXECUTABLE == EXECUTABLE:
        return False
    hook.parent.mkdir(parents=True, exist_ok=True)
    put(hook, content.encode(), mode=EXECUTABLE)
    return True
