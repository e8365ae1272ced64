"""A link that opens the operator's pages once."""

import getpass
import secrets
from datetime import timedelta
from hashlib import sha256

import typer

from app.cli.deliveries import Json
from app.cli.operate import with_database
from app.cli.output import print_json
from app.core.clock import SystemClock
from app.core.setting_loader import load_settings
from app.db import operator_access
from app.db.engine import Database

app = typer.Typer(add_completion=False)
LASTS = timedelta(minutes=5)


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
    base = f"https://{settings.api_domain}" if settings.ssl_enabled else "http://localhost"
    url = f"{base}:{settings.api_port}/dashboard/login?link={value}"
    if json:
        print_json({"url": url, "link": value, "ends_at": ends_at})
    else:
        typer.echo(url)
