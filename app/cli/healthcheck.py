"""Ask the running server whether it is ready: for containers and cron."""

import http.client
import sys
from typing import Annotated

import typer

from app.cli.output import fail, say
from app.core.exit_codes import Exit
from app.core.setting_loader import load_settings
from app.doctor.host.asking import Target, ask, name_let_in, reachable
from app.domain.language import msgid

NO_ANSWER = msgid("no answer from {where}: {reason}")
READY = msgid("ready")
NOT_READY = msgid("not ready ({status}): {body}")

app = typer.Typer(add_completion=False)


@app.command()
def healthcheck(
    *, json: Annotated[bool, typer.Option("--json", help="Print the server's whole answer.")] = False
) -> None:
    """Exit 0 when the server on this machine is ready, 1 when it is not, 69 when it does not answer."""
    settings = load_settings()
    target = Target(
        reachable(settings.api_host), settings.api_port, name_let_in(settings.allowed_hosts), settings.ssl_enabled
    )
    try:
        reply = ask(target, "GET", "/readyz")
    except (OSError, http.client.HTTPException) as error:
        fail(say(NO_ANSWER, where=f"{target.address}:{target.port}", reason=error), Exit.REMOTE_DOWN, as_json=json)
    is_ready, body = reply.status == http.HTTPStatus.OK, reply.body.decode(errors="replace")
    if json:
        sys.stdout.write(f"{body}\n")
    else:
        typer.echo(say(READY) if is_ready else say(NOT_READY, status=reply.status, body=body))
    raise typer.Exit(Exit.OK if is_ready else Exit.CHECK_FAILED)
