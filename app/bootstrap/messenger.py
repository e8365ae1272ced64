"""Settings → what writes to Telegram's chats, images among it."""

from contextlib import AsyncExitStack

from app.core.config import Settings
from app.fal.cdn import FalCdn, WayOut
from app.flows.ports import Messenger
from app.telegram.client import TelegramClient
from app.telegram.photos import PhotoSender
from app.telegram.sender import TelegramMessenger, TokenlessMessenger

PATIENT = 20.0  # s that Telegram may take over images: it fetches each before it answers


async def open_messenger(settings: Settings, stack: AsyncExitStack, cdn: WayOut | None) -> Messenger:
    """Open it on `stack`; nothing is connected to before something is sent. `cdn` leads to a twin of fal's CDN."""
    if settings.telegram_token is None:
        return TokenlessMessenger()
    token, url = settings.telegram_token.get_secret_value(), settings.telegram_api_url
    store = FalCdn(settings.artifact_hosts, cdn)
    stack.push_async_callback(store.aclose)
    patient = await stack.enter_async_context(TelegramClient(token, url, timeout=PATIENT))
    client = await stack.enter_async_context(TelegramClient(token, url))
    return TelegramMessenger(client, photos=PhotoSender(patient, store.fetch))
