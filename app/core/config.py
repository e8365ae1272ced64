"""Settings: every field with its default, its bounds and its purpose in two languages.

`Settings(**fields)` takes plain values, as tests do; `app.core.setting_loader` reads environment and files.
"""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field, PrivateAttr, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.core import setting_meta as a
from app.core import setting_types as v
from app.core.setting_meta import number, setting

JWKS_URLS = ("https://rest.fal.ai/.well-known/jwks.json", "https://rest.alpha.fal.ai/.well-known/jwks.json")

Switch = Annotated[bool, v.Stripped]


class Settings(BaseSettings):
    """Everything that can be set, checked and frozen; attribute names are the lower-case environment names."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True, allow_inf_nan=False
    )
    _notes: tuple[str, ...] = PrivateAttr(default=())

    api_host: v.Host = setting(
        "0.0.0.0",  # noqa: S104 a webhook must be reachable  # nosec B104
        "адрес, который слушает сервер",
        "address to listen on",
        a.HOST,
        section=("Сервер", "Server"),
    )
    api_port: Annotated[int, Field(ge=0, le=65535)] = setting(
        8443, "порт; 0 — любой свободный", "port; 0 picks a free one", number(0, 65535, 8443)
    )
    api_domain: v.Domain = setting(
        "aibots.kz", "имя в самоподписанном сертификате", "name in the self-signed certificate", a.HOST
    )
    api_debug: Switch = setting(False, "страницы /docs и /openapi.json", "pages /docs and /openapi.json", a.BOOL)
    service_name: Annotated[v.Text, Field(min_length=1, max_length=100)] = setting(
        "Aisha Bot FAL Webhook API",
        "имя в ответе /health",
        "name in the answer of /health",
        ("до 100 знаков", "up to 100 characters"),
    )
    allowed_hosts: v.HostPatterns = setting(
        (),
        "имена, на которые отвечаем",
        "host names we answer to",
        ("имена через запятую, без https:// и порта", "names with commas, without https:// and port"),
        shown=("`API_DOMAIN,*.API_DOMAIN,localhost,127.0.0.1,[::1]`",) * 2,
    )
    cors_origins: v.Origins = setting(
        (),
        "сайты, чьи страницы могут читать ответы",
        "sites whose pages may read answers",
        ("https://узел через запятую, без пути; [] — никто", "https://host with commas, without a path; [] for none"),
        shown=("`https://API_DOMAIN`",) * 2,
    )
    forwarded_allow_ips: v.Trusted = setting(
        ("127.0.0.1", "::1"),
        "прокси, чьему X-Forwarded-For верим",
        "proxies whose X-Forwarded-For we believe",
        (
            "адрес своего nginx, например 127.0.0.1 или 172.18.0.0/16; unix — за сокетом",
            "your nginx's address, such as 127.0.0.1 or 172.18.0.0/16; unix behind a socket",
        ),
    )
    max_body_bytes: Annotated[int, Field(ge=1024, le=67108864)] = setting(
        1048576, "предел тела запроса, байт", "limit of a request body, bytes", number(1024, 67108864, 1048576)
    )
    client_timeout: Annotated[float, Field(ge=0.1, le=300)] = setting(
        15, "сколько ждать заголовки и тело, секунд", "patience for header and body, seconds", number(0.1, 300, 15)
    )
    max_connections: Annotated[int, Field(ge=16, le=100000)] = setting(
        1000,
        "соединений одновременно; одному адресу — восьмая часть",
        "connections at once, an eighth of them for one address",
        number(16, 100000, 1000),
    )

    ssl_enabled: Switch = setting(
        True, "HTTPS; false только за прокси", "HTTPS; false behind a proxy only", a.BOOL, section=("TLS", "TLS")
    )
    ssl_cert_path: v.FilePath = setting(
        Path("ssl/aibots_kz.crt"),
        "сертификат (нет пары — создаётся самоподписанная)",
        "certificate (a missing pair is made self-signed)",
        a.PATH,
    )
    ssl_key_path: v.FilePath = setting(Path("ssl/aibots.kz.key"), "закрытый ключ", "private key", a.PATH)
    ssl_ca_bundle_path: v.FilePath = setting(
        Path("ssl/aibots_kz.ca-bundle"), "промежуточные сертификаты", "intermediate certificates", a.PATH
    )
    tls_profile: Annotated[Literal["intermediate", "modern"], v.Lower] = setting(
        "intermediate",
        "набор Mozilla: TLS 1.2 и 1.3 или только 1.3",
        "Mozilla's profile: TLS 1.2 and 1.3, or 1.3 only",
        "intermediate | modern",
    )

    database_url: v.DatabaseUrl = setting(
        SecretStr("sqlite:///data/aisha.db"),
        "общая с ботом база (sqlite или postgresql)",
        "database shared with the bot (sqlite or postgresql)",
        a.DATABASE,
        section=("База", "Database"),
    )
    migrate_on_start: Switch = setting(
        False,
        "мигрировать PostgreSQL при старте (SQLite — всегда)",
        "migrate PostgreSQL at start (SQLite: always)",
        a.BOOL,
    )
    data_dir: v.FilePath = setting(
        Path("data"), "папка для кэша ключей и адресов fal", "folder of cached fal keys and addresses", a.FOLDER
    )

    telegram_token: v.Secret | None = setting(
        None,
        "токен бота; без него сообщения остаются «не отправлено»",
        'bot token; without it messages stay "not sent"',
        a.TOKEN,
        aliases=("TELEGRAM_BOT_TOKEN",),
        section=("Telegram", "Telegram"),
    )
    telegram_api_url: v.BaseUrl = setting("https://api.telegram.org", "адрес Bot API", "address of the Bot API", a.BASE)
    telegram_rate: Annotated[float, Field(ge=0.1, le=1000)] = setting(
        25, "сообщений в секунду", "messages per second", number(0.1, 1000, 25)
    )
    operator_chat_id: v.ChatId | None = setting(
        None,
        "чат для тревог оператору",
        "chat for the operator's alarms",
        ("id чата цифрами, у групп с минусом", "the chat's id in digits, negative for groups"),
    )
    default_language: Annotated[Literal["ru", "en", "kk"], v.Lower] = setting(
        "ru", "язык, когда язык владельца неизвестен", "language when the owner's is unknown", "ru | en | kk"
    )

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
        "https://api.fal.ai", "API fal: список адресов", "fal's API: the address list", a.BASE
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

    @field_validator("allowed_hosts", "cors_origins", mode="before")
    @classmethod
    def _follow_domain(cls, value: object, info: ValidationInfo) -> object:
        if value != ():
            return value
        domain = info.data.get("api_domain", "localhost")  # absent when it is wrong, which is reported already
        return v.hosts_of(domain) if info.field_name == "allowed_hosts" else v.origins_of(domain)

    @field_validator("webhook_log_file")
    @classmethod
    def _own_log(cls, name: str, info: ValidationInfo) -> str:
        if name == info.data.get("api_log_file"):
            raise v.Wrong("same_file")
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
        credentials, at, _ = held.pop("database_url").partition("://")[2].rpartition("@")
        password = credentials.partition(":")[2]
        passwords = [password, unquote(password)] if at and password else []
        return tuple(dict.fromkeys([*held.values(), *passwords]))
