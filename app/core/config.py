"""Settings: every field with its default, its bounds and its purpose.

`Settings(**fields)` takes plain values, as tests do; `app.core.setting_loader` reads environment and files.
"""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationInfo, field_validator

from app.core import setting_kinds as v
from app.core.setting_checks import Wrong, is_ip
from app.core.setting_meta import setting
from app.domain.language import Msgid, msgid

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


class Settings(BaseModel):
    """Everything that can be set, checked and frozen; attribute names are the lower-case environment names."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True, allow_inf_nan=False
    )

    _notes: tuple[str, ...] = PrivateAttr(default=())

    api_host: v.Host = setting(
        "0.0.0.0",  # noqa: S104 a webhook must be reachable  # nosec B104
        msgid("address to listen on"),
        section=msgid("Server"),
    )
    api_port: Annotated[int, Field(ge=0, le=65535)] = setting(8443, msgid("port; 0 picks a free one"))
    api_domain: v.Domain = setting("aibots.kz", msgid("name in the self-signed certificate"))
    api_debug: bool = setting(False, msgid("pages /docs and /openapi.json"))
    service_name: v.Label = setting("Aisha Bot FAL Webhook API", msgid("name in the answer of /health"))
    api_token: v.Token | None = setting(None, msgid("the bot's token for /api/v1/jobs"))
    metrics_token: v.Token | None = setting(
        None, msgid("Prometheus' token for /metrics; without it only this machine may ask")
    )
    dashboard_token: v.Token | None = setting(
        None, msgid("password of the operator's pages /dashboard; without it only by `aisha-webhook dashboard-link`")
    )
    dashboard_read_only: bool = setting(False, msgid("operator's pages for reading only"))
    allowed_hosts: v.HostPatterns = setting(
        (), msgid("host names we answer to"), shown=Msgid("`API_DOMAIN,*.API_DOMAIN,localhost,127.0.0.1,[::1]`")
    )
    cors_origins: v.Origins = setting(
        (), msgid("sites whose pages may read answers"), shown=Msgid("`https://API_DOMAIN`")
    )
    forwarded_allow_ips: v.Trusted = setting(("127.0.0.1", "::1"), msgid("proxies whose X-Forwarded-For we believe"))
    max_body_bytes: Annotated[int, Field(ge=1024, le=67108864)] = setting(
        1048576, msgid("limit of a request body, bytes")
    )
    client_timeout: Annotated[float, Field(ge=0.1, le=300)] = setting(
        15, msgid("patience for header and body, seconds")
    )
    max_connections: Annotated[int, Field(ge=16, le=100000)] = setting(
        1000, msgid("connections at once, an eighth of them for one address")
    )

    ssl_enabled: bool = setting(True, msgid("HTTPS; false behind a proxy only"), section=Msgid("TLS"))
    ssl_cert_path: v.FilePath = setting(
        Path("ssl/aibots_kz.crt"), msgid("certificate (a missing pair is made self-signed)")
    )
    ssl_key_path: v.FilePath = setting(Path("ssl/aibots.kz.key"), msgid("private key"))
    ssl_ca_bundle_path: v.FilePath = setting(Path("ssl/aibots_kz.ca-bundle"), msgid("intermediate certificates"))
    tls_profile: Annotated[Literal["intermediate", "modern"], v.Lower] = setting(
        "intermediate", msgid("Mozilla's profile: TLS 1.2 and 1.3, or 1.3 only")
    )

    database_url: v.DatabaseUrl = setting(
        SecretStr("sqlite:///data/aisha.db"),
        msgid("database shared with the bot (sqlite or postgresql)"),
        section=msgid("Database"),
    )
    migrate_on_start: bool = setting(False, msgid("migrate PostgreSQL at start (SQLite: always)"))
    data_dir: v.FolderPath = setting(Path("data"), msgid("folder of cached fal keys and addresses"))

    telegram_token: v.BotToken | None = setting(
        None,
        msgid('bot token; without it messages stay "not sent"'),
        aliases=("TELEGRAM_BOT_TOKEN",),
        section=Msgid("Telegram"),
    )
    telegram_api_url: v.BotApiUrl = setting("https://api.telegram.org", msgid("address of the Bot API"))
    telegram_rate: Annotated[float, Field(ge=0.1, le=1000)] = setting(25, msgid("messages per second"))
    operator_chat_id: v.ChatId | None = setting(None, msgid("chat for the operator's alarms"))
    digest_hour: Annotated[int, Field(ge=0, le=23)] | None = setting(
        None, msgid("hour of the operator's daily digest, by this machine's clock"), example=9
    )
    alert_ping_url: v.SecretUrl | None = setting(None, msgid("address that is fetched every minute while all is well"))
    tell_when_found_completed: bool = setting(
        False, msgid('say "ready" also where somebody else has completed the avatar with the same artifact')
    )
    progress: Annotated[Literal["off", "late", "on"], v.Lower] = setting(
        "late", msgid("message about a training under way: none, of delays only, always")
    )
    support_url: v.PublicUrl | None = setting(
        None, msgid("where owners write for help: a button and a line in messages about failures")
    )
    default_language: Annotated[Literal["ru", "en", "kk"], v.Lower] = setting(
        "ru", msgid("language when the owner's is unknown")
    )

    fal_api_key: v.Secret | None = setting(None, msgid("fal API key"), aliases=("FAL_KEY",), section=Msgid("fal.ai"))
    fal_user_id: v.Account | None = setting(None, msgid("our fal account: foreign deliveries are refused"))
    fal_webhook_url: v.Url | None = setting(None, msgid("address that the bot gives to fal"))
    fal_webhook_secret: v.Secret | None = setting(None, msgid("unused: fal has no shared secret"))
    fal_jwks_urls: v.Urls = setting(JWKS_URLS, msgid("where fal's signing keys lie"))
    fal_queue_url: v.BaseUrl = setting("https://queue.fal.run", msgid("fal's queue"))
    fal_api_url: v.BaseUrl = setting("https://api.fal.ai", msgid("fal's API: webhook addresses, list of requests"))
    training_max_usd: Annotated[float, Field(ge=0, le=10_000)] = setting(
        10, msgid("what one training may cost, US dollars")
    )
    fal_storage_url: v.BaseUrl = setting("https://rest.fal.ai", msgid("fal's storage, for photos"))
    trainer_portrait: v.Endpoint = setting("fal-ai/flux-lora-portrait-trainer", msgid("where portraits are trained"))
    trainer_style: v.Endpoint = setting("fal-ai/flux-lora-fast-training", msgid("where styles are trained"))
    invented_artifacts: v.Marks = setting(
        INVENTED_ARTIFACTS, msgid("hosts and beginnings of finetune ids that the bot invents: they are no artifacts")
    )
    ip_filter: Annotated[Literal["enforce", "off", "report"], v.Lower] = setting(
        "enforce", msgid("IP filter: refuse, ignore, only log")
    )
    allowed_ips: v.Networks = setting((), msgid("own networks in place of fal's list"), shown=msgid("fal's list"))
    artifact_check: Annotated[Literal["require", "note", "off"], v.Lower] = setting(
        "require", msgid("look whether the LoRA's file is there: require, note, do not look")
    )
    artifact_hosts: v.ArtifactHosts = setting(("fal.media", "*.fal.media"), msgid("hosts where a LoRA may lie"))

    poll_interval: Annotated[float, Field(ge=0.01, le=60)] = setting(
        1, msgid("how often to look at the queue, seconds"), section=msgid("Work")
    )
    lease_seconds: Annotated[int, Field(ge=15, le=3600)] = setting(
        60, msgid("how long a delivery is taken for, seconds")
    )
    retry_max_attempts: Annotated[int, Field(ge=1, le=100)] = setting(10, msgid("tries before the operator"))
    orphan_hours: Annotated[int, Field(ge=1, le=720)] = setting(24, msgid("wait for an unknown training, hours"))
    reconcile_after: Annotated[int, Field(ge=1, le=86400)] = setting(
        120, msgid("ask fal about a job for the first time after, seconds")
    )
    reconcile_every: Annotated[int, Field(ge=1, le=3600)] = setting(60, msgid("ask again every, seconds"))
    retention_days: Annotated[int, Field(ge=1, le=3650)] = setting(30, msgid("keep what is finished, days"))

    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], v.Upper] = setting(
        "INFO", msgid("how much is logged"), section=msgid("Logs")
    )
    log_dir: v.FolderPath = setting(Path("logs"), msgid("folder of the logs"))
    api_log_file: v.FileName = setting("api_server.log", msgid("the log of everything"))
    webhook_log_file: v.FileName = setting("webhook.log", msgid("the log of deliveries"))

    @field_validator("allowed_hosts", "cors_origins", mode="before")
    @classmethod
    def _follow_domain(cls, value: object, info: ValidationInfo) -> object:
        if value != ():
            return value
        domain = info.data.get("api_domain", "localhost")  # absent when it is wrong, which is reported already
        if info.field_name == "cors_origins":
            return (f"https://[{domain}]" if ":" in domain else f"https://{domain}",)
        return (domain, *(() if is_ip(domain) else (f"*.{domain}",)), "localhost", "127.0.0.1", "[::1]")

    @field_validator("webhook_log_file")
    @classmethod
    def _own_log(cls, name: str, info: ValidationInfo) -> str:
        if name == info.data.get("api_log_file"):
            raise Wrong(msgid("both logs in one file"))
        return name

    @property
    def operator_language(self) -> Literal["ru", "en"]:
        """The language of consoles and remedies; there is no Kazakh one."""
        return "en" if self.default_language == "en" else "ru"

    def warnings(self) -> tuple[str, ...]:
        """English sentences for the log about settings that are valid but weaken security or lose a function."""
        told = []
        if self.fal_webhook_secret is not None:
            told.append("FAL_WEBHOOK_SECRET is ignored: fal has no shared secret, it signs with its own keys")
        if self.fal_user_id is None:
            told.append("FAL_USER_ID is not set: a delivery of any fal account with a valid signature is accepted")
        if self.telegram_token is None:
            told.append("TELEGRAM_TOKEN is not set: messages are logged and stay not sent")
        if self._database_readable_on_the_way():
            told.append(
                "DATABASE_URL: PostgreSQL on another machine without sslmode=verify-full: the connection may be read"
            )
        if self.api_debug:
            told.append("API_DEBUG is on: /docs and /openapi.json are public")
        return (*told, *self._notes)

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
