"""Ask the running server whether it is ready: for containers and cron."""

import http.client
import ssl
import sys
from typing import Annotated

import typer

from app.cli.output import Exit
from app.core.loading import load_settings
from app.host.asking import name_let_in

TIMEOUT = 5  # s

app = typer.Typer(add_completion=False)


@app.command()
def healthcheck(
    *, json: Annotated[bool, typer.Option("--json", help="Print the server's whole answer.")] = False
) -> None:
    """Exit 0 when the server on this machine is ready, 1 when it is not, 69 when it does not answer."""
    settings = load_settings()
    host = "127.0.0.1" if settings.api_host in ("0.0.0.0", "::") else settings.api_host  # noqa: S104  compared, not bound  # nosec B104
    try:
        status, body = _ask(host, settings.api_port, name_let_in(settings.allowed_hosts), tls=settings.ssl_enabled)
    except (OSError, http.client.HTTPException) as error:
        typer.echo(f"no answer from {host}:{settings.api_port}: {error}", err=True)
        raise typer.Exit(Exit.REMOTE_DOWN) from None
    if json:
        sys.stdout.write(f"{body}\n")
    else:
        typer.echo("ready" if status == http.HTTPStatus.OK else f"not ready ({status}): {body}")
    raise typer.Exit(Exit.OK if status == http.HTTPStatus.OK else Exit.CHECK_FAILED)


def _ask(host: str, port: int, name: str, *, tls: bool) -> tuple[int, str]:
    connection: http.client.HTTPConnection
    if tls:
        # Asked is whether it serves, on this very machine; whose certificate it shows is the doctor's question.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # as said above
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/readyz", headers={"Host": name})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()
