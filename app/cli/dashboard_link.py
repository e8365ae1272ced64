"""A link that opens the operator's pages once."""

import getpass
import secrets
from datetime import timedelta
from hashlib import sha256
from urllib.parse import urlsplit

import typer

from app.cli.operate import with_database
from app.cli.output import Json, print_json, say
from app.core.clock import SystemClock
from app.core.config import Settings
from app.core.setting_loader import load_settings
from app.db import operator_access
from app.db.engine import Database
from app.domain.language import msgid

app = typer.Typer(add_completion=False)
LASTS = timedelta(minutes=5)
LOCAL = msgid("in a browser on this machine: {url}")


@app.command("dashboard-link")
def dashboard_link(*, json: Json = False) -> None:
    """Print a link to the operator's pages; it works once, within five minutes."""
    settings = load_settings()
    value = secrets.token_urlsafe(32)
    ends_at = SystemClock().now() + LASTS

    async def add(database: Database) -> None:
        link_id = sha256(value.encode()).hexdigest()
        await database.write(operator_access.add_link, link_id, getpass.getuser()[:64], ends_at)

    with_database(add)
    url = f"{_base(settings)}/dashboard/login?link={value}"
    if json:
        print_json({"url": url, "link": value, "ends_at": ends_at})
        return
    typer.echo(url)
    scheme = "https" if settings.ssl_enabled else "http"
    local = f"{scheme}://localhost:{settings.api_port}/dashboard/login?link={value}"
    typer.echo(say(LOCAL, url=local), err=True)


def _base(settings: Settings) -> str:
    """Return where the world finds this server: as fal does, else by its own name; without TLS a proxy has 443."""
    if settings.fal_webhook_url:
        parts = urlsplit(settings.fal_webhook_url)
        return f"{parts.scheme}://{parts.netloc}"
    port = f":{settings.api_port}" if settings.ssl_enabled else ""
    return f"https://{settings.api_domain}{port}"
