"""The first half of the settings: the server itself, its TLS, its database, Telegram."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core import setting_checks as checks
from app.core import setting_meta as a
from app.core import setting_types as v
from app.core.setting_meta import number, setting

Switch = Annotated[bool, v.Stripped]


class ServerSettings(BaseSettings):
    """What the server stands on; every name of `Settings` is explained there."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True, allow_inf_nan=False
    )

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
    api_token: v.Token | None = setting(
        None, "токен бота для /api/v1/jobs", "the bot's token for /api/v1/jobs", a.OWN_TOKEN
    )
    dashboard_token: v.Token | None = setting(
        None,
        "пароль страниц оператора /dashboard; без него — только по ссылке `aisha-webhook dashboard-link`",
        "password of the operator's pages /dashboard; without it only by `aisha-webhook dashboard-link`",
        a.OWN_TOKEN,
    )
    dashboard_read_only: Switch = setting(
        False, "страницы оператора только для чтения", "operator's pages for reading only", a.BOOL
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
    digest_hour: Annotated[int, Field(ge=0, le=23)] | None = setting(
        None,
        "час ежедневной сводки оператору, по часам этой машины",
        "hour of the operator's daily digest, by this machine's clock",
        number(0, 23, 9),
    )
    alert_ping_url: v.SecretUrl | None = setting(
        None,
        "адрес, который запрашивается раз в минуту, пока всё в порядке",
        "address that is fetched every minute while all is well",
        ("https://… (http:// только для localhost)", "https://… (http:// for localhost only)"),
    )
    tell_when_found_completed: Switch = setting(
        False,
        "писать «готов» и тогда, когда аватар завершил кто-то другой с тем же артефактом",
        'say "ready" also where somebody else has completed the avatar with the same artifact',
        a.BOOL,
    )
    progress: Annotated[Literal["off", "late", "on"], v.Lower] = setting(
        "late",
        "сообщение о ходе обучения: нет, только о задержке, всегда",
        "message about a training under way: none, of delays only, always",
        "off | late | on",
    )
    support_url: v.PublicUrl | None = setting(
        None,
        "куда владельцу писать за помощью: кнопка и строка в сообщениях о неудаче",
        "where owners write for help: a button and a line in messages about failures",
        ("https://t.me/имя или страница вашего сайта", "https://t.me/name or a page of your site"),
    )
    default_language: Annotated[Literal["ru", "en", "kk"], v.Lower] = setting(
        "ru", "язык, когда язык владельца неизвестен", "language when the owner's is unknown", "ru | en | kk"
    )

    @field_validator("allowed_hosts", "cors_origins", mode="before")
    @classmethod
    def _follow_domain(cls, value: object, info: ValidationInfo) -> object:
        if value != ():
            return value
        domain = info.data.get("api_domain", "localhost")  # absent when it is wrong, which is reported already
        return checks.hosts_of(domain) if info.field_name == "allowed_hosts" else checks.origins_of(domain)
