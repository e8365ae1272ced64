"""Settings: every field with its default, its bounds and its purpose in two languages.

`Settings(**fields)` takes plain values, as tests do; `app.core.setting_loader` reads environment and files.
"""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field, PrivateAttr, SecretStr, ValidationInfo, field_validator

from app.core import setting_types as v
from app.core.server_settings import ServerSettings
from app.core.setting_checks import Wrong
from app.core.setting_errors import Remedy
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
ACCOUNT = Remedy(msgid("the account's id from fal's dashboard, up to 200 characters"))


class Settings(ServerSettings):
    """Everything that can be set, checked and frozen; attribute names are the lower-case environment names."""

    _notes: tuple[str, ...] = PrivateAttr(default=())

    fal_api_key: v.Secret | None = setting(None, msgid("fal API key"), aliases=("FAL_KEY",), section=Msgid("fal.ai"))
    fal_user_id: Annotated[v.Text, Field(min_length=1, max_length=200), ACCOUNT] | None = setting(
        None,
        msgid("our fal account: foreign deliveries are refused"),
    )
    fal_webhook_url: v.Url | None = setting(None, msgid("address that the bot gives to fal"))
    fal_webhook_secret: v.Secret | None = setting(None, msgid("unused: fal has no shared secret"))
    fal_jwks_urls: v.Urls = setting(JWKS_URLS, msgid("where fal's signing keys lie"))
    fal_queue_url: v.BaseUrl = setting("https://queue.fal.run", msgid("fal's queue"))
    fal_api_url: v.BaseUrl = setting(
        "https://api.fal.ai",
        msgid("fal's API: webhook addresses, list of requests"),
    )
    training_max_usd: Annotated[float, Field(ge=0, le=10_000)] = setting(
        10, msgid("what one training may cost, US dollars")
    )
    fal_storage_url: v.BaseUrl = setting("https://rest.fal.ai", msgid("fal's storage, for photos"))
    trainer_portrait: v.Endpoint = setting("fal-ai/flux-lora-portrait-trainer", msgid("where portraits are trained"))
    trainer_style: v.Endpoint = setting("fal-ai/flux-lora-fast-training", msgid("where styles are trained"))
    invented_artifacts: v.Marks = setting(
        INVENTED_ARTIFACTS,
        msgid("hosts and beginnings of finetune ids that the bot invents: they are no artifacts"),
    )
    ip_filter: Annotated[Literal["enforce", "off", "report"], v.Lower] = setting(
        "enforce",
        msgid("IP filter: refuse, ignore, only log"),
    )
    allowed_ips: v.Networks = setting(
        (),
        msgid("own networks in place of fal's list"),
        shown=msgid("fal's list"),
    )
    artifact_check: Annotated[Literal["require", "note", "off"], v.Lower] = setting(
        "require",
        msgid("look whether the LoRA's file is there: require, note, do not look"),
    )
    artifact_hosts: v.ArtifactHosts = setting(
        ("fal.media", "*.fal.media"),
        msgid("hosts where a LoRA may lie"),
    )

    poll_interval: Annotated[float, Field(ge=0.01, le=60)] = setting(
        1,
        msgid("how often to look at the queue, seconds"),
        section=msgid("Work"),
    )
    lease_seconds: Annotated[int, Field(ge=15, le=3600)] = setting(
        60, msgid("how long a delivery is taken for, seconds")
    )
    retry_max_attempts: Annotated[int, Field(ge=1, le=100)] = setting(10, msgid("tries before the operator"))
    orphan_hours: Annotated[int, Field(ge=1, le=720)] = setting(24, msgid("wait for an unknown training, hours"))
    reconcile_after: Annotated[int, Field(ge=1, le=86400)] = setting(
        120,
        msgid("ask fal about a job for the first time after, seconds"),
    )
    reconcile_every: Annotated[int, Field(ge=1, le=3600)] = setting(60, msgid("ask again every, seconds"))
    retention_days: Annotated[int, Field(ge=1, le=3650)] = setting(30, msgid("keep what is finished, days"))

    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], v.Upper] = setting(
        "INFO",
        msgid("how much is logged"),
        section=msgid("Logs"),
    )
    log_dir: v.FolderPath = setting(Path("logs"), msgid("folder of the logs"))
    api_log_file: v.FileName = setting("api_server.log", msgid("the log of everything"))
    webhook_log_file: v.FileName = setting("webhook.log", msgid("the log of deliveries"))

    @field_validator("webhook_log_file")
    @classmethod
    def _own_log(cls, name: str, info: ValidationInfo) -> str:
        if name == info.data.get("api_log_file"):
            raise Wrong("same_file")
        return name

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
