"""The text that is printed to the console once the server listens, and what the operator has yet to do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.catalog import translate_all
from app.core.config import Settings
from app.domain.language import Language, Msgid, msgid

WORDS: dict[str, Msgid] = {
    "listens": msgid("Receiving fal.ai webhooks"),
    "local": msgid("on this machine"),
    "webhook": msgid("the URL for fal and the bot"),
    "fingerprint": msgid("certificate SHA-256"),
    "plain": msgid("no TLS: for development only"),
    "self_signed": msgid(
        "the certificate is self-signed: fal's documentation does not say whether fal accepts it. "
        "Let's Encrypt is the safe choice (docs/install.md, “Certificate”)"
    ),
    "keys": msgid("no keys of fal's yet, deliveries get 503. aisha-webhook doctor names the cause"),
    "domain": msgid("no domain is named, aibots.kz is taken. Put yours (or the same) into .env: API_DOMAIN=…"),
    "token": msgid("TELEGRAM_TOKEN does not look like one of @BotFather's (123456789:AA…). Put the real one into .env"),
    "operator": msgid("OPERATOR_CHAT_ID is not set: nobody is told of trouble. Put OPERATOR_CHAT_ID=… into .env"),
    "telegram": msgid("TELEGRAM_TOKEN is not set: messages go to the log. Put TELEGRAM_TOKEN=… into .env"),
    "account": msgid("FAL_USER_ID is not set: signatures of any fal account are accepted. Put FAL_USER_ID=… into .env"),
    "key": msgid(
        "FAL_API_KEY is not set: a result that fal did not send cannot be fetched. Put FAL_API_KEY=… into .env"
    ),
    "sqlite": msgid("SQLite without the bot: to work with the bot put DATABASE_URL=postgresql://… into .env"),
    "missing": msgid("still to do"),
    "ready": msgid("everything is set up"),
}


@dataclass(frozen=True, slots=True)
class Banner:
    """The facts to print. `fingerprint` is None on plain HTTP; `missing` holds keys of WORDS, most important first."""

    local_url: str
    webhook_url: str
    fingerprint: str | None
    missing: Sequence[str]

    def text(self, language: Language) -> str:
        """Return the text, one line per fact."""
        words = translate_all(WORDS, language)
        certificate = words["plain"] if self.fingerprint is None else f"{words['fingerprint']}: {self.fingerprint}"
        steps = [f"    {number}. {words[step]}" for number, step in enumerate(self.missing, 1)]
        return "\n".join(
            [
                words["listens"],
                f"  {words['local']}: {self.local_url}",
                f"  {words['webhook']}: {self.webhook_url}",
                f"  {certificate}",
                *([f"  {words['missing']}:", *steps] if steps else [f"  {words['ready']}"]),
                "",
            ]
        )


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
