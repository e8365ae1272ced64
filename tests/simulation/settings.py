"""The settings of a world, drawn by its seed: most of them as most servers have them, one or another left out."""

from pathlib import Path

from pydantic import SecretStr

from app.core.config import Settings
from app.twins.signing import ACCOUNT
from tests.simulation.chance import one_of, stream
from tests.simulation.fal import API_KEY
from tests.simulation.telegram import OPERATOR_CHAT, TOKEN

API_TOKEN = "token-of-the-simulated-bot-0123456789"
PROXY = "10.0.0.2"  # stands before the server in some worlds


def draw(seed: object, url: str, folder: Path) -> Settings:
    """Draw them; `url` is the database, `folder` takes everything else."""
    chance = stream(seed, "settings")
    return Settings(
        database_url=SecretStr(url),
        data_dir=folder,
        log_dir=folder,
        ssl_enabled=chance.random() < 0.2,
        ssl_cert_path=folder / "server.crt",
        ssl_key_path=folder / "server.key",
        ssl_ca_bundle_path=folder / "none.ca-bundle",
        telegram_token=_secret(TOKEN) if chance.random() < 0.95 else None,
        operator_chat_id=OPERATOR_CHAT if chance.random() < 0.9 else None,
        fal_user_id=ACCOUNT,
        fal_api_key=_secret(API_KEY) if chance.random() < 0.94 else None,
        api_token=SecretStr(API_TOKEN),
        alert_ping_url=SecretStr("https://ping.example/simulation"),
        digest_hour=one_of(chance, {9: 1, 12: 1, 17: 1, 18: 1, None: 1}),
        training_max_usd=one_of(chance, {10: 3, 3: 1}),
        progress=one_of(chance, {"late": 2, "on": 4, "off": 1}),
        retention_days=chance.choice((1, 7)),
        retry_max_attempts=one_of(chance, {10: 3, 3: 1}),
        artifact_check=one_of(chance, {"require": 5, "note": 3, "off": 1}),
        ip_filter=one_of(chance, {"enforce": 5, "report": 1, "off": 1}),
        telegram_rate=one_of(chance, {25: 4, 0.5: 1}),
        trainer_style=one_of(chance, {"fal-ai/flux-lora-fast-training": 14, "fal-ai/other-trainer": 1}),
        forwarded_allow_ips=("127.0.0.1", "::1", *((f"{PROXY}/32",) if chance.random() < 0.3 else ())),
        max_body_bytes=one_of(chance, {1048576: 3, 16777216: 1}),
        tell_when_found_completed=chance.random() < 0.3,
        default_language=chance.choice(("ru", "en", "kk")),
    )


def _secret(word: str) -> SecretStr:
    return SecretStr(word)
