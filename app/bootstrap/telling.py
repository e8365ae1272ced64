"""Settings → how chats are written to."""

from contextlib import AsyncExitStack

from app.core.config import Settings
from app.flows.ports import Messenger
from app.telegram.client import TelegramClient
from app.telegram.sender import TelegramMessenger, TokenlessMessenger


async def make_messenger(settings: Settings, stack: AsyncExitStack) -> Messenger:
    """Build what sends; without a token it only says what would have been sent."""
    if settings.telegram_token is None:
        return TokenlessMessenger()
    token = settings.telegram_token.get_secret_value()
    return TelegramMessenger(await stack.enter_async_context(TelegramClient(token, settings.telegram_api_url)))
