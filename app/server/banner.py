"""The text that is printed to the console once the server listens."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.language import Language

WORDS: dict[Language, dict[str, str]] = {
    "ru": {
        "listens": "Сервер принимает вебхуки fal.ai",
        "local": "на этой машине",
        "webhook": "адрес для fal и бота",
        "fingerprint": "сертификат SHA-256",
        "plain": "без TLS: только для разработки",
        "self_signed": "сертификат самоподписанный: примет ли его fal, в документации fal не сказано. "
        "Надёжно: сертификат Let's Encrypt (docs/install.ru.md, раздел «Сертификат»)",
        "keys": "ключей fal ещё нет, доставки получают 503. Причину назовёт aisha-webhook doctor",
        "domain": "домен не назван, взят aibots.kz. Впишите свой (или его же): API_DOMAIN=… в .env",
        "token": "TELEGRAM_TOKEN не похож на токен от @BotFather (123456789:AA…). Впишите настоящий в .env",
        "operator": "OPERATOR_CHAT_ID не задан: о бедах сказать некому. Впишите OPERATOR_CHAT_ID=… в .env",
        "telegram": "TELEGRAM_TOKEN не задан: сообщения пишутся в журнал. Впишите TELEGRAM_TOKEN=… в .env",
        "account": "FAL_USER_ID не задан: принимаются подписи любого аккаунта fal. Впишите FAL_USER_ID=… в .env",
        "key": "FAL_API_KEY не задан: результат, который fal не прислал, нельзя забрать. Впишите FAL_API_KEY=… в .env",
        "sqlite": "база SQLite без бота: для работы с ботом впишите DATABASE_URL=postgresql://… в .env",
        "missing": "осталось сделать",
        "ready": "всё настроено",
    },
    "en": {
        "listens": "Receiving fal.ai webhooks",
        "local": "on this machine",
        "webhook": "the URL for fal and the bot",
        "fingerprint": "certificate SHA-256",
        "plain": "no TLS: for development only",
        "self_signed": "the certificate is self-signed: fal's documentation does not say whether fal accepts it. "
        "Let's Encrypt is the safe choice (docs/install.md, “Certificate”)",
        "keys": "no keys of fal's yet, deliveries get 503. aisha-webhook doctor names the cause",
        "domain": "no domain is named, aibots.kz is taken. Put yours (or the same) into .env: API_DOMAIN=…",
        "token": "TELEGRAM_TOKEN does not look like one of @BotFather's (123456789:AA…). Put the real one into .env",
        "operator": "OPERATOR_CHAT_ID is not set: nobody is told of trouble. Put OPERATOR_CHAT_ID=… into .env",
        "telegram": "TELEGRAM_TOKEN is not set: messages go to the log. Put TELEGRAM_TOKEN=… into .env",
        "account": "FAL_USER_ID is not set: signatures of any fal account are accepted. Put FAL_USER_ID=… into .env",
        "key": "FAL_API_KEY is not set: a result that fal did not send cannot be fetched. Put FAL_API_KEY=… into .env",
        "sqlite": "SQLite without the bot: to work with the bot put DATABASE_URL=postgresql://… into .env",
        "missing": "still to do",
        "ready": "everything is set up",
    },
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
        words = WORDS[language]
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
