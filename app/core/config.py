"""Settings: every field with its default, its bounds and its purpose in two languages.

`Settings(**fields)` takes plain values, as tests do; `app.core.setting_loader` reads environment and files.
"""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field, PrivateAttr, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from app.core import setting_meta as a
from app.core import setting_types as v
from app.core.server_settings import ServerSettings
from app.core.setting_checks import Wrong
from app.core.setting_meta import number, setting

JWKS_URLS = ("https://rest.fal.ai/.well-known/jwks.json", "https://rest.alpha.fal.ai/.well-known/jwks.json")
# Written by the bot's own poller where it could not read a result (docs/reconcile.md).
INVENTED_ARTIFACTS = (
    "emergency-fallback.com",
    "fallback-lora.com",
    "startup-force-fallback.com",
    "training-manager-fallback.com",
    "completeness-check-fallback.com",
    "fallback-style-",
    "emergency-fallback-",
)


class Settings(ServerSettings):
    """Everything that can be set, checked and frozen; attribute names are the lower-case environment names."""

    _notes: tuple[str, ...] = PrivateAttr(default=())

    fal_api_key: v.Secret | None = setting(
        None, "ключ API fal", "fal API key", a.KEY, aliases=("FAL_KEY",), section=("fal.ai", "fal.ai")
    )
    fal_user_id: Annotated[v.Text, Field(min_length=1, max_length=200)] | None = setting(
        None,
        "наш аккаунт fal: чужие доставки отвергаются",
        "our fal account: foreign deliveries are refused",
        ("id аккаунта из панели fal, до 200 знаков", "the account's id from fal's dashboard, up to 200 characters"),
    )
    fal_webhook_url: v.Url | None = setting(
        None, "адрес, который бот даёт fal", "address that the bot gives to fal", a.HTTPS
    )
    fal_webhook_secret: v.Secret | None = setting(
        None, "не используется: у fal нет общего секрета", "unused: fal has no shared secret", a.KEY
    )
    fal_jwks_urls: v.Urls = setting(JWKS_URLS, "где лежат ключи подписи fal", "where fal's signing keys lie", a.HTTPS)
    fal_queue_url: v.BaseUrl = setting("https://queue.fal.run", "очередь fal", "fal's queue", a.BASE)
    fal_api_url: v.BaseUrl = setting(
        "https://api.fal.ai",
        "API fal: адреса вебхуков, список запросов",
        "fal's API: webhook addresses, list of requests",
        a.BASE,
    )
    trainer_portrait: v.Endpoint = setting(
        "fal-ai/flux-lora-portrait-trainer", "где учатся портреты", "where portraits are trained", a.ENDPOINT
    )
    trainer_style: v.Endpoint = setting(
        "fal-ai/flux-lora-fast-training", "где учатся стили", "where styles are trained", a.ENDPOINT
    )
    training_max_usd: Annotated[float, Field(ge=0, le=10_000)] = setting(
        10,
        "сколько может стоить одно обучение, долларов",
        "what one training may cost, US dollars",
        number(0, 10_000, 10),
    )
    fal_storage_url: v.BaseUrl = setting(
        "https://rest.fal.ai", "хранилище fal для фотографий", "fal's storage, for photos", a.BASE
    )
    invented_artifacts: v.Marks = setting(
        INVENTED_ARTIFACTS,
        "узлы и начала finetune id, которые бот выдумывает: это не артефакты",
        "hosts and beginnings of finetune ids that the bot invents: they are no artifacts",
        (
            "узлы и начала id через запятую, от 4 знаков: fallback-lora.com,fallback-style-",
            "hosts and beginnings of ids with commas, from 4 characters: fallback-lora.com,fallback-style-",
        ),
    )
    ip_filter: Annotated[Literal["enforce", "off", "report"], v.Lower] = setting(
        "enforce",
        "фильтр IP: отвергать, не смотреть, только записывать",
        "IP filter: refuse, ignore, only log",
        "enforce | off | report",
    )
    allowed_ips: v.Networks = setting(
        (),
        "свои сети вместо списка fal",
        "own networks in place of fal's list",
        a.NETWORKS,
        shown=("список fal", "fal's list"),
    )
    artifact_check: Annotated[Literal["require", "note", "off"], v.Lower] = setting(
        "require",
        "смотреть, лежит ли файл LoRA: требовать, записывать, не смотреть",
        "look whether the LoRA's file is there: require, note, do not look",
        "require | note | off",
    )
    artifact_hosts: v.ArtifactHosts = setting(
        ("fal.media", "*.fal.media"),
        "узлы, где может лежать LoRA",
        "hosts where a LoRA may lie",
        ("имена через запятую, *.имя — всё под ним", "names with commas, *.name for all below it"),
    )

    poll_interval: Annotated[float, Field(ge=0.01, le=60)] = setting(
        1,
        "как часто смотреть очередь, секунд",
        "how often to look at the queue, seconds",
        number(0.01, 60, 1),
        section=("Работа", "Work"),
    )
    lease_seconds: Annotated[int, Field(ge=15, le=3600)] = setting(
        60, "на сколько берётся доставка, секунд", "how long a delivery is taken for, seconds", number(15, 3600, 60)
    )
    retry_max_attempts: Annotated[int, Field(ge=1, le=100)] = setting(
        10, "попыток до оператора", "tries before the operator", number(1, 100, 10)
    )
    orphan_hours: Annotated[int, Field(ge=1, le=720)] = setting(
        24, "сколько ждать неизвестное обучение, часов", "wait for an unknown training, hours", number(1, 720, 24)
    )
    reconcile_after: Annotated[int, Field(ge=1, le=86400)] = setting(
        120,
        "когда впервые спросить fal о задаче, секунд",
        "ask fal about a job for the first time after, seconds",
        number(1, 86400, 120),
    )
    reconcile_every: Annotated[int, Field(ge=1, le=3600)] = setting(
        60, "как часто спрашивать дальше, секунд", "ask again every, seconds", number(1, 3600, 60)
    )
    retention_days: Annotated[int, Field(ge=1, le=3650)] = setting(
        30, "сколько хранить законченное, дней", "keep what is finished, days", number(1, 3650, 30)
    )

    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], v.Upper] = setting(
        "INFO",
        "подробность журналов",
        "how much is logged",
        "DEBUG | INFO | WARNING | ERROR | CRITICAL",
        section=("Журналы", "Logs"),
    )
    log_dir: v.FilePath = setting(Path("logs"), "папка журналов", "folder of the logs", a.FOLDER)
    api_log_file: v.FileName = setting("api_server.log", "общий журнал", "the log of everything", a.LOG)
    webhook_log_file: v.FileName = setting("webhook.log", "журнал доставок", "the log of deliveries", a.LOG)

    @field_validator("webhook_log_file")
    @classmethod
    def _own_log(cls, name: str, info: ValidationInfo) -> str:
        if name == info.data.get("api_log_file"):
            raise Wrong("same_file")
        return name

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the values given and no others: environment and files are read by `setting_sources.collect`."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @property
    def operator_language(self) -> Literal["ru", "en"]:
        """The language of consoles and remedies; there is no Kazakh one."""
        return "en" if self.default_language == "en" else "ru"

    def warnings(self) -> tuple[str, ...]:
        """English sentences for the log about settings that are valid but weaken security or lose a function."""
        told = (
            (
                self.fal_webhook_secret is not None,
                "FAL_WEBHOOK_SECRET is ignored: fal has no shared secret, it signs with its own keys",
            ),
            (
                self.fal_user_id is None,
                "FAL_USER_ID is not set: a delivery of any fal account with a valid signature is accepted",
            ),
            (self.telegram_token is None, "TELEGRAM_TOKEN is not set: messages are logged and stay not sent"),
            (
                self._database_readable_on_the_way(),
                "DATABASE_URL: PostgreSQL on another machine without sslmode=verify-full: the connection may be read",
            ),
            (self.api_debug, "API_DEBUG is on: /docs and /openapi.json are public"),
        )
        return (*(sentence for holds, sentence in told if holds), *self._notes)

    def _database_readable_on_the_way(self) -> bool:
        url = urlsplit(self.database_url.get_secret_value())
        if url.scheme.startswith("sqlite") or url.hostname in (None, "localhost", "127.0.0.1", "::1"):
            return False
        options = dict(parse_qsl(url.query))
        return options.get("sslmode", options.get("ssl")) != "verify-full"

    def secret_values(self) -> tuple[str, ...]:
        """List what must never be logged: tokens, and the database's password as written and as decoded."""
        held = {name: value.get_secret_value() for name, value in self if isinstance(value, SecretStr)}
        url = held.pop("database_url").partition("://")[2]
        credentials, at, _ = url.partition("@")
        passwords = [credentials.partition(":")[2] if at else ""]
        options = (option.partition("=") for option in url.partition("?")[2].split("&"))
        passwords += [value for name, _, value in options if name.endswith(("password", "secret", "_key"))]
        spelled = [word for password in passwords for word in (password, unquote(password)) if word]
        return tuple(dict.fromkeys([*held.values(), *spelled]))
