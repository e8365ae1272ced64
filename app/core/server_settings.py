"""The first half of the settings: the server itself, its TLS, its database, Telegram."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from app.core import setting_checks as checks
from app.core import setting_types as v
from app.core.setting_errors import Remedy
from app.core.setting_meta import setting
from app.domain.language import Msgid, msgid

UP_TO_100 = Remedy(msgid("up to 100 characters"))
Switch = Annotated[bool, v.Stripped]


class ServerSettings(BaseModel):
    """What the server stands on; every name of `Settings` is explained there."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True, allow_inf_nan=False
    )

    api_host: v.Host = setting(
        "0.0.0.0",  # noqa: S104 a webhook must be reachable  # nosec B104
        msgid("address to listen on"),
        section=msgid("Server"),
    )
    api_port: Annotated[int, Field(ge=0, le=65535)] = setting(8443, msgid("port; 0 picks a free one"))
    api_domain: v.Domain = setting("aibots.kz", msgid("name in the self-signed certificate"))
    api_debug: Switch = setting(False, msgid("pages /docs and /openapi.json"))
    service_name: Annotated[v.Text, Field(min_length=1, max_length=100), UP_TO_100] = setting(
        "Aisha Bot FAL Webhook API",
        msgid("name in the answer of /health"),
    )
    api_token: v.Token | None = setting(None, msgid("the bot's token for /api/v1/jobs"))
    metrics_token: v.Token | None = setting(
        None, msgid("Prometheus' token for /metrics; without it only this machine may ask")
    )
    dashboard_token: v.Token | None = setting(
        None,
        msgid("password of the operator's pages /dashboard; without it only by `aisha-webhook dashboard-link`"),
    )
    dashboard_read_only: Switch = setting(False, msgid("operator's pages for reading only"))
    allowed_hosts: v.HostPatterns = setting(
        (),
        msgid("host names we answer to"),
        shown=Msgid("`API_DOMAIN,*.API_DOMAIN,localhost,127.0.0.1,[::1]`"),
    )
    cors_origins: v.Origins = setting(
        (),
        msgid("sites whose pages may read answers"),
        shown=Msgid("`https://API_DOMAIN`"),
    )
    forwarded_allow_ips: v.Trusted = setting(
        ("127.0.0.1", "::1"),
        msgid("proxies whose X-Forwarded-For we believe"),
    )
    max_body_bytes: Annotated[int, Field(ge=1024, le=67108864)] = setting(
        1048576, msgid("limit of a request body, bytes")
    )
    client_timeout: Annotated[float, Field(ge=0.1, le=300)] = setting(
        15, msgid("patience for header and body, seconds")
    )
    max_connections: Annotated[int, Field(ge=16, le=100000)] = setting(
        1000,
        msgid("connections at once, an eighth of them for one address"),
    )

    ssl_enabled: Switch = setting(True, msgid("HTTPS; false behind a proxy only"), section=Msgid("TLS"))
    ssl_cert_path: v.FilePath = setting(
        Path("ssl/aibots_kz.crt"),
        msgid("certificate (a missing pair is made self-signed)"),
    )
    ssl_key_path: v.FilePath = setting(Path("ssl/aibots.kz.key"), msgid("private key"))
    ssl_ca_bundle_path: v.FilePath = setting(Path("ssl/aibots_kz.ca-bundle"), msgid("intermediate certificates"))
    tls_profile: Annotated[Literal["intermediate", "modern"], v.Lower] = setting(
        "intermediate",
        msgid("Mozilla's profile: TLS 1.2 and 1.3, or 1.3 only"),
    )

    database_url: v.DatabaseUrl = setting(
        SecretStr("sqlite:///data/aisha.db"),
        msgid("database shared with the bot (sqlite or postgresql)"),
        section=msgid("Database"),
    )
    migrate_on_start: Switch = setting(
        False,
        msgid("migrate PostgreSQL at start (SQLite: always)"),
    )
    data_dir: v.FolderPath = setting(Path("data"), msgid("folder of cached fal keys and addresses"))

    telegram_token: v.BotToken | None = setting(
        None,
        msgid('bot token; without it messages stay "not sent"'),
        aliases=("TELEGRAM_BOT_TOKEN",),
        section=Msgid("Telegram"),
    )
    telegram_api_url: v.BaseUrl = setting("https://api.telegram.org", msgid("address of the Bot API"))
    telegram_rate: Annotated[float, Field(ge=0.1, le=1000)] = setting(25, msgid("messages per second"))
    operator_chat_id: v.ChatId | None = setting(
        None,
        msgid("chat for the operator's alarms"),
    )
    digest_hour: Annotated[int, Field(ge=0, le=23)] | None = setting(
        None,
        msgid("hour of the operator's daily digest, by this machine's clock"),
        example=9,
    )
    alert_ping_url: v.SecretUrl | None = setting(
        None,
        msgid("address that is fetched every minute while all is well"),
    )
    tell_when_found_completed: Switch = setting(
        False,
        msgid('say "ready" also where somebody else has completed the avatar with the same artifact'),
    )
    progress: Annotated[Literal["off", "late", "on"], v.Lower] = setting(
        "late",
        msgid("message about a training under way: none, of delays only, always"),
    )
    support_url: v.PublicUrl | None = setting(
        None,
        msgid("where owners write for help: a button and a line in messages about failures"),
    )
    default_language: Annotated[Literal["ru", "en", "kk"], v.Lower] = setting(
        "ru", msgid("language when the owner's is unknown")
    )

    @field_validator("allowed_hosts", "cors_origins", mode="before")
    @classmethod
    def _follow_domain(cls, value: object, info: ValidationInfo) -> object:
        if value != ():
            return value
        domain = info.data.get("api_domain", "localhost")  # absent when it is wrong, which is reported already
        return checks.hosts_of(domain) if info.field_name == "allowed_hosts" else checks.origins_of(domain)
