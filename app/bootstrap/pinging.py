"""How the address of ALERT_PING_URL is fetched."""

from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus

from app.core.config import Settings
from app.fal.client import Client, FetchFailed, get_capped

READ = 4096  # bytes of the answer, which says nothing to us


def ping_of(settings: Settings, client: Client) -> Callable[[], Awaitable[str | None]] | None:
    """Make what fetches the address; None where there is none."""
    url = settings.alert_ping_url
    return None if url is None else partial(_fetch, client, url.get_secret_value())


async def _fetch(client: Client, url: str) -> str | None:
    """Fetch once; return None, or in a word why not. The address may hold a secret, and is in none of the words."""
    try:
        status, _ = await get_capped(client, url, READ)
    except FetchFailed as failed:
        return None if failed.why == "too_large" else failed.why
    return None if status < HTTPStatus.MULTIPLE_CHOICES else f"http_{status}"
