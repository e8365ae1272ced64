"""What the operator has yet to do, as the banner lists it: keys of `banner.WORDS`, the most important first."""

import re

from app.core.config import Settings

TOKEN = re.compile(r"\d{6,12}:[A-Za-z0-9_-]{30,}")  # as @BotFather gives it out


def still_to_do(settings: Settings, *, has_keys: bool, is_self_signed: bool) -> list[str]:
    """Judge by the settings, whether fal's keys are at hand, and whether the certificate is self-signed."""
    token = settings.telegram_token
    wanting = (
        ("keys", not has_keys),
        ("domain", "api_domain" not in settings.model_fields_set),
        ("telegram", token is None),
        ("token", token is not None and TOKEN.fullmatch(token.get_secret_value()) is None),
        ("operator", settings.operator_chat_id is None),
        ("account", settings.fal_user_id is None),
        ("self_signed", is_self_signed),
        ("sqlite", settings.database_url.get_secret_value().startswith("sqlite")),
        ("key", settings.fal_api_key is None),
    )
    return [name for name, is_wanting in wanting if is_wanting]
