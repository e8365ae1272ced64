import errno
import os
import re
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from app.cli.setting_page import env_example, settings_table
from app.core import setting_meta
from app.core.config import Settings
from app.core.setting_loader import load_settings
from app.core.setting_sources import nearest
from app.domain.errors import SettingsInvalid, StartRefused
from app.main import main

ROOT = Path(__file__).resolve().parents[2]
SECRET = "topsecret-value-7"
TOKEN = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for field, info in Settings.model_fields.items():
        for name in (*setting_meta.names(field, info), *setting_meta.file_names(field, info)):
            monkeypatch.delenv(name, raising=False)


def write_env(text: str) -> Path:
    path = Path(".env")
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def refused(text: str = "", **environ: str) -> tuple[str, ...]:
    write_env(text)
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(environ=environ)
    return caught.value.findings


def test_defaults() -> None:
    """Nothing set at all gives the interface's defaults."""
    settings = load_settings()
    assert (settings.api_host, settings.api_port, settings.api_debug) == ("0.0.0.0", 8443, False)
    assert settings.ssl_enabled is True
    assert settings.ssl_cert_path == Path("ssl/aibots_kz.crt")
    assert settings.ssl_key_path == Path("ssl/aibots.kz.key")
    assert settings.ssl_ca_bundle_path == Path("ssl/aibots_kz.ca-bundle")
    assert settings.api_domain == "aibots.kz"
    assert settings.database_url.get_secret_value() == "sqlite:///data/aisha.db"
    assert settings.telegram_token is None
    assert settings.telegram_api_url == "https://api.telegram.org"
    assert (settings.fal_api_key, settings.fal_user_id, settings.fal_webhook_url) == (None, None, None)
    assert settings.fal_jwks_urls == (
        "https://rest.fal.ai/.well-known/jwks.json",
        "https://rest.alpha.fal.ai/.well-known/jwks.json",
    )
    assert (settings.fal_queue_url, settings.fal_api_url) == ("https://queue.fal.run", "https://api.fal.ai")
    assert settings.trainer_portrait == "fal-ai/flux-lora-portrait-trainer"
    assert settings.trainer_style == "fal-ai/flux-lora-fast-training"
    assert (settings.allowed_ips, settings.ip_filter) == ((), "enforce")
    assert settings.allowed_hosts == ("aibots.kz", "*.aibots.kz", "localhost", "127.0.0.1", "[::1]")
    assert settings.cors_origins == ("https://aibots.kz",)
    assert settings.forwarded_allow_ips == ("127.0.0.1", "::1")
    assert (settings.max_body_bytes, settings.client_timeout) == (1048576, 15)
    assert (settings.log_level, settings.log_dir) == ("INFO", Path("logs"))
    assert (settings.api_log_file, settings.webhook_log_file) == ("api_server.log", "webhook.log")
    assert (settings.operator_chat_id, settings.default_language) == (None, "ru")
    assert (settings.poll_interval, settings.lease_seconds, settings.retry_max_attempts) == (1, 60, 10)
    assert (settings.orphan_hours, settings.retention_days, settings.telegram_rate) == (24, 30, 25)
    assert (settings.migrate_on_start, settings.data_dir) == (False, Path("data"))
    assert settings.service_name == "Aisha Bot FAL Webhook API"


@pytest.mark.parametrize(
    ("domain", "hosts", "origin"),
    [
        ("example.kz", ("example.kz", "*.example.kz", "localhost", "127.0.0.1", "[::1]"), "https://example.kz"),
        ("Example.KZ", ("example.kz", "*.example.kz", "localhost", "127.0.0.1", "[::1]"), "https://example.kz"),
        ("localhost", ("localhost", "*.localhost", "127.0.0.1", "[::1]"), "https://localhost"),
        ("203.0.113.7", ("203.0.113.7", "localhost", "127.0.0.1", "[::1]"), "https://203.0.113.7"),
        ("2001:db8::1", ("2001:db8::1", "localhost", "127.0.0.1", "[::1]"), "https://[2001:db8::1]"),
    ],
)
def test_hosts_and_origins_follow_the_domain(domain: str, hosts: tuple[str, ...], origin: str) -> None:
    """API_DOMAIN alone is enough: ALLOWED_HOSTS and CORS_ORIGINS are made of it unless they are set."""
    settings = load_settings(environ={"API_DOMAIN": domain, "ALLOWED_HOSTS": "", "CORS_ORIGINS": " "})
    assert (settings.allowed_hosts, settings.cors_origins) == (hosts, (origin,))
    told = load_settings(environ={"API_DOMAIN": domain, "ALLOWED_HOSTS": "a.kz", "CORS_ORIGINS": "[]"})
    assert (told.allowed_hosts, told.cors_origins) == (("a.kz",), ())


def test_a_wrong_domain_is_one_finding() -> None:
    """What follows a wrong API_DOMAIN is not reported besides."""
    assert len(refused(API_DOMAIN="https://example.kz")) == 1


def test_frozen() -> None:
    """Settings cannot be changed once read."""
    with pytest.raises(ValidationError):
        Settings().api_port = 1  # type: ignore[misc]  # that it must not is the point


def test_values_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings(...) takes plain values and ignores the environment: only load_settings reads outside."""
    monkeypatch.setenv("API_PORT", "9")
    assert Settings(api_host="::1").api_port == 8443


def test_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment wins over .env, and .env over the default."""
    write_env("API_PORT=1111\nAPI_HOST=127.0.0.1\n")
    monkeypatch.setenv("API_PORT", "2222")
    settings = load_settings()
    assert (settings.api_port, settings.api_host) == (2222, "127.0.0.1")


def test_no_env_file() -> None:
    """With env_file=None the .env in the working directory is not read."""
    write_env("API_PORT=1111\n")
    assert load_settings(None).api_port == 8443


def test_empty_means_not_set() -> None:
    """NAME= , in .env or in the environment, means not set."""
    write_env("".join(f"{setting_meta.env_name(field)}=\n" for field in Settings.model_fields))
    assert load_settings() == load_settings(None, dict.fromkeys(("API_PORT", "FAL_KEY"), "")) == Settings()


def test_empty_environment_frees_a_run() -> None:
    """A name left empty in the environment is not looked for in .env: one run can be freed of the token."""
    write_env(f"TELEGRAM_BOT_TOKEN={TOKEN}\n")
    assert load_settings(environ={"TELEGRAM_TOKEN": ""}).telegram_token is None


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("api_port", "0", 0),
        ("api_port", " 80\r", 80),
        ("api_host", "::", "::"),
        ("api_debug", "YES", True),
        ("migrate_on_start", "1", True),
        ("api_domain", "AIbots.KZ", "aibots.kz"),
        ("api_domain", "Қазақ.kz", "қазақ.kz".encode("idna").decode()),
        ("ip_filter", "Report", "report"),
        ("log_level", "debug", "DEBUG"),
        ("default_language", "KK", "kk"),
        ("client_timeout", "0.5", 0.5),
        ("operator_chat_id", "-1001234567890", -1001234567890),
        ("allowed_ips", "203.0.113.7, 10.0.0.0/8,", ("203.0.113.7/32", "10.0.0.0/8")),
        ("allowed_ips", '["2001:db8::/32"]', ("2001:db8::/32",)),
        ("cors_origins", "https://A.kz/, http://localhost:3000", ("https://a.kz", "http://localhost:3000")),
        ("cors_origins", "[]", ()),
        ("cors_origins", "*", ("*",)),
        ("allowed_hosts", "*", ("*",)),
        ("allowed_hosts", '["a.kz", "*.A.kz", "a.kz"]', ("a.kz", "*.a.kz")),
        ("allowed_hosts", "[::1], 2001:DB8::1", ("[::1]", "2001:db8::1")),
        ("forwarded_allow_ips", "172.18.0.0/16", ("172.18.0.0/16",)),
        ("forwarded_allow_ips", "unix, ::1", ("unix", "::1")),
        ("telegram_api_url", "http://127.0.0.1:8081/", "http://127.0.0.1:8081"),
        ("telegram_api_url", "https://api.telegram.org/bot", "https://api.telegram.org"),
        ("fal_queue_url", "http://[::1]:9/q/", "http://[::1]:9/q"),
        ("fal_api_url", "http://LOCALHOST:9", "http://LOCALHOST:9"),
        (
            "fal_webhook_url",
            "https://aibots.kz:8443/a?training_type=style",
            "https://aibots.kz:8443/a?training_type=style",
        ),
        ("fal_jwks_urls", "http://127.0.0.1:1/jwks", ("http://127.0.0.1:1/jwks",)),
        ("ssl_key_path", "/etc/ssl/my key.pem", Path("/etc/ssl/my key.pem")),
    ],
)
def test_accepted(field: str, text: str, expected: object) -> None:
    """What an operator may reasonably write is taken."""
    assert getattr(load_settings(environ={field.upper(): text}), field) == expected


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///data/x.db",
        "sqlite:////srv/my data/x.db",
        "sqlite+aiosqlite:///x.db",
        "postgresql://u:p#a/ss@h/d",
        "postgresql+asyncpg://u@h/d",
        "postgres://h/d",
        "postgresql+psycopg:///d?host=/run/postgresql",
        "postgresql://u:p%40ss%3A@db.example.kz:5432/d?sslmode=require",
        "postgresql://u:p@[::1]:5432/d",
        "postgresql://u:p@[::1]/d",
        "postgresql://u:p@db1,db2:5432/d?target_session_attrs=read-write",
        "postgresql://db_1:/d",
        "postgresql://u:p@db1:5432,db2:5433/d",
        "postgresql://u:p@[::1]:5432,db2/d",
        "postgresql://u:p@%2Frun%2Fpostgresql/d",
    ],
)
def test_databases(url: str) -> None:
    """Every promised spelling of a database is taken as it stands."""
    assert load_settings(environ={"DATABASE_URL": url}).database_url.get_secret_value() == url


BAD = [
    ("API_PORT", "port-x9", "целое", "8443"),
    ("API_PORT", "84430", "пределов", "65535"),
    ("API_PORT", "-1", "пределов", "65535"),
    ("API_PORT", "1.5", "целое", "8443"),
    ("API_HOST", "0.0.0.0:8443", "узла", "без порта"),
    ("API_HOST", "300.1.1.1", "узла", "без порта"),
    ("API_DOMAIN", "қ" * 80, "узла", "без порта"),
    ("API_DEBUG", "maybe-x9", "ни", "true | false"),
    ("SSL_ENABLED", "sometimes", "ни", "true | false"),
    ("API_DOMAIN", "https://aibots.kz", "узла", "без порта"),
    ("DATABASE_URL", f"mysql://u:{SECRET}@h/d", "не поддержана", "postgresql://"),
    ("DATABASE_URL", f"postgresql+psycopg2://u:{SECRET}@h/d", "не поддержана", "postgresql://"),
    ("DATABASE_URL", f"/srv/{SECRET}.db", "не поддержана", "sqlite:///"),
    ("DATABASE_URL", "postgresql://", "не поддержана", "sqlite:///"),
    ("DATABASE_URL", f"sqlite://{SECRET}", "не поддержана", "sqlite:///"),
    ("DATABASE_URL", f"postgresql://u:{SECRET}@h:port-x9/d", "не адрес URL", "postgresql://"),
    ("DATABASE_URL", f"postgresql://u:{SECRET}@h:543210/d", "не адрес URL", "postgresql://"),
    ("DATABASE_URL", f"postgresql://u:half@{SECRET}@h/d", "не адрес URL", "%40"),
    ("DATABASE_URL", f"postgresql://u:{SECRET}@h:5432,h:port-x9/d", "не адрес URL", "postgresql://"),
    ("DATABASE_URL", f"postgresql://u:{SECRET}@[::1/d", "не адрес URL", "postgresql://"),
    ("DATABASE_URL", f"postgresql://u:{SECRET}@h\n/d", "непечатаемый", "postgresql://"),
    ("DATABASE_URL", "sqlite:///:memory:", "в памяти", "sqlite:///"),
    ("DATABASE_URL", f'"sqlite:///{SECRET}.db"', "кавычки", "без кавычек"),
    ("TELEGRAM_TOKEN", "   ", "пробелы", "@BotFather"),
    ("TELEGRAM_TOKEN", f"{SECRET} {SECRET}", "внутри секрета", "@BotFather"),
    ("TELEGRAM_TOKEN", f"'{SECRET}'", "кавычки", "без кавычек"),
    ("TELEGRAM_TOKEN", '""', "кавычки", "без кавычек"),
    ("TELEGRAM_BOT_TOKEN", f"{SECRET}\n", "непечатаемый", "@BotFather"),
    ("FAL_KEY", f"ключ{SECRET}", "внутри секрета", "без пробелов"),
    ("FAL_API_KEY", f"<{SECRET}>", "внутри секрета", "без пробелов"),
    ("TELEGRAM_API_URL", "http://api.telegram.org", "этой же машины", "https://"),
    ("TELEGRAM_API_URL", "http://127.0.0.1.evil.kz", "этой же машины", "https://"),
    ("TELEGRAM_API_URL", "api.telegram.org", "не адрес URL", "https://"),
    ("TELEGRAM_API_URL", "https://api.telegram.org/?x9=1", "лишнее", "https://"),
    ("FAL_QUEUE_URL", f"https://me:{SECRET}@queue.fal.run", "пароль внутри", "https://"),
    ("FAL_QUEUE_URL", "https://queue.fal.run:99999", "не адрес URL", "https://"),
    ("FAL_API_URL", "http://evil.kz\\@localhost", "не адрес URL", "https://"),
    ("FAL_WEBHOOK_URL", "http://aibots.kz:8443/a", "этой же машины", "https://"),
    ("FAL_WEBHOOK_URL", "https://aibots.kz/#x9", "лишнее", "https://"),
    ("FAL_JWKS_URLS", "https://a.kz/j,ftp://b.kz/j", "не адрес URL", "https://"),
    ("FAL_JWKS_URLS", "[]", "список пуст", "https://"),
    ("FAL_USER_ID", "x9" * 150, "длинно", "200"),
    ("TRAINER_PORTRAIT", "flux-trainer-x9", "не адрес модели", "fal-ai/"),
    ("TRAINER_PORTRAIT", "https://fal.run/fal-ai/x9", "не адрес модели", "fal-ai/"),
    ("TRAINER_STYLE", "fal-ai/../x9", "не адрес модели", "fal-ai/"),
    ("TRAINER_STYLE", "Fal-AI/x9", "не адрес модели", "fal-ai/"),
    ("ALLOWED_IPS", "fal.ai", "не IP-адрес", "10.0.0.0/8"),
    ("ALLOWED_IPS", "10.0.0.5/8", "внутри сети", "10.0.0.0/8"),
    ("ALLOWED_IPS", '["10.0.0.0/8"', "JSON", "10.0.0.0/8"),
    ("ALLOWED_IPS", "[7]", "JSON", "10.0.0.0/8"),
    ("IP_FILTER", "strict-x9", "варианта нет", "enforce | off | report"),
    ("ALLOWED_HOSTS", "https://aibots.kz", "не имя узла", "без https://"),
    ("ALLOWED_HOSTS", "a.*.kz", "не имя узла", "без https://"),
    ("CORS_ORIGINS", "https://aibots.kz/app", "не бывает пути", "без пути"),
    ("FORWARDED_ALLOW_IPS", "*", "подделать", "nginx"),
    ("FORWARDED_ALLOW_IPS", "0.0.0.0/0", "подделать", "nginx"),
    ("FORWARDED_ALLOW_IPS", "unix:", "не IP-адрес", "nginx"),
    ("MAX_BODY_BYTES", "10", "пределов", "1024"),
    ("MAX_BODY_BYTES", "1MiB", "целое", "1048576"),
    ("CLIENT_TIMEOUT", "0", "пределов", "0.1"),
    ("CLIENT_TIMEOUT", "nan", "пределов", "0.1"),
    ("CLIENT_TIMEOUT", "soon-x9", "не число", "0.1"),
    ("LOG_LEVEL", "LOUD-X9", "варианта нет", "DEBUG | INFO"),
    ("LOG_DIR", "~nobody-x9/logs", "домашняя", "папке"),
    ("API_LOG_FILE", "logs/api_server.log", "без папки", "имя файла"),
    ("API_LOG_FILE", "webhook.log", "в одном файле", "имя файла"),
    ("OPERATOR_CHAT_ID", "@operator-x9", "целое", "id чата"),
    ("OPERATOR_CHAT_ID", "0", "не чат", "id чата"),
    ("DEFAULT_LANGUAGE", "de-x9", "варианта нет", "ru | en | kk"),
    ("POLL_INTERVAL", "0", "пределов", "0.01"),
    ("LEASE_SECONDS", "5", "пределов", "15"),
    ("RETRY_MAX_ATTEMPTS", "0", "пределов", "100"),
    ("ORPHAN_HOURS", "-4", "пределов", "720"),
    ("RETENTION_DAYS", "0", "пределов", "3650"),
    ("TELEGRAM_RATE", "inf", "пределов", "1000"),
    ("SERVICE_NAME", "a\x1b[31mx9", "непечатаемый", "100"),
]


@pytest.mark.parametrize(("name", "value", "wrong", "fix"), BAD)
def test_refused(name: str, value: str, wrong: str, fix: str) -> None:
    """A bad value is refused in one line: its name, why, what to write, and not the value (fault 52)."""
    (line,) = refused(**{name: value})
    shown = "WEBHOOK_LOG_FILE (по умолчанию)" if value == "webhook.log" else f"{name} (окружение)"
    assert line.startswith(f"{shown}: ")
    why, _, remedy = line.partition(". Напишите: ")
    assert wrong in why
    assert fix in remedy
    assert SECRET not in line
    assert value == "webhook.log" or value.strip().lower() not in why.lower() or len(value.strip()) < 5
    assert "x9" not in line


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, value, _, _ in BAD])
def test_the_server_does_not_start(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole start ends with 78 and that one line, before it opens or writes anything (fault 52)."""
    with pytest.raises(SettingsInvalid) as told:
        load_settings(environ={name: value})
    monkeypatch.setenv(name, value)
    assert main() == 78
    assert capsys.readouterr() == ("", f"{told.value}\n")
    assert list(Path().iterdir()) == []


def secret_in_a_file(content: str, mode: int) -> str:
    path = Path("token.txt").absolute()
    path.write_text(content)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("API_PROT=1\n", ("API_PROT (.env, строка 1)", "опечатку", "API_PORT")),
        ("\n\nTELEGRAM_TOKN=topsecret-value-7\n", ("TELEGRAM_TOKN (.env, строка 3)", "опечатку", "TELEGRAM_TOKEN")),
        ("API_HOST=::\nDATABASE_URL\n", ("DATABASE_URL (.env, строка 2)", "нет знака", "DATABASE_URL=")),
        ("FAL_KEY='topsecret-value-7\n", ("FAL_KEY (.env, строка 1)", "нельзя прочитать", "кавычки парные")),
        (
            "\nTELEGRAM_TOKEN=topsecret-value-7 topsecret-value-7\n",
            ("TELEGRAM_TOKEN (.env, строка 2)", "внутри секрета", "@BotFather"),
        ),
        (
            "TELEGRAM_TOKEN=a\nTELEGRAM_TOKEN_FILE=/x\n",
            ("TELEGRAM_TOKEN (.env, строка 1)", "и значение, и файл", "что-то одно"),
        ),
        ("FAL_KEY_FILE=/absent\n", ("FAL_KEY_FILE (файл /absent; .env, строка 1)", "нельзя прочитать", "путь")),
        ("TELEGRAM_TOKEN_FILE={open}\n", ("token.txt; .env, строка 1)", "кто угодно", "chmod o-rwx")),
        ("TELEGRAM_TOKEN_FILE={empty}\n", ("token.txt; .env, строка 1)", "пуст", "@BotFather")),
        ("DATABASE_URL_FILE={private}\n", ("token.txt; .env, строка 1)", "не поддержана", "sqlite:///")),
        ("LOG_LEVEL=LOUD # topsecret-value-7\n", ("LOG_LEVEL (.env, строка 1)", "варианта нет", "DEBUG | INFO")),
    ],
)
def test_the_server_does_not_start_with_such_a_file(
    text: str, told: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong in .env or in a secret's file is told with its line, exit 78, without the secret (fault 52)."""
    for name, content, mode in (("open", SECRET, 0o644), ("empty", "", 0o600), ("private", SECRET, 0o600)):
        if f"{{{name}}}" in text:
            text = text.format(**{name: secret_in_a_file(content, mode)})
    write_env(text)
    assert main() == 78
    err = capsys.readouterr().err
    assert [part for part in told if part not in err] == []
    assert SECRET not in err
    assert "Traceback" not in err


def test_all_at_once() -> None:
    """Everything wrong is told at once, each with the line of .env it stands on (fault 52)."""
    lines = refused(f"\n# comment\nAPI_PORT=x\n\n\nTELEGRAM_TOKEN='a {SECRET}'\nAPI_PROT=1\n", IP_FILTER="no")
    assert [line.partition(":")[0] for line in lines] == [
        "API_PROT (.env, строка 7)",
        "API_PORT (.env, строка 3)",
        "TELEGRAM_TOKEN (.env, строка 6)",
        "IP_FILTER (окружение)",
    ]
    assert not any(SECRET in line for line in lines)


def test_english() -> None:
    """DEFAULT_LANGUAGE=en words the findings in English."""
    (line,) = refused("DEFAULT_LANGUAGE=en\nAPI_PORT=x\n")
    assert line == "API_PORT (.env line 2): not a whole number. Write: a number from 0 to 65535, such as 8443"


def test_silent_cause() -> None:
    """The refusal carries no chained exception that a traceback could print with the values."""
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(environ={"TELEGRAM_TOKEN": f"a {SECRET}"})
    assert caught.value.__suppress_context__
    assert isinstance(caught.value, StartRefused)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("API_PROT", "API_PORT"),
        ("TELEGRAM_TOKN", "TELEGRAM_TOKEN"),
        ("TELEGRAM_BOTTOKEN", "TELEGRAM_BOT_TOKEN"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("SSL_ENABLE", "SSL_ENABLED"),
        ("FAL_USERID", "FAL_USER_ID"),
        ("ALLOWED_IP", "ALLOWED_IPS"),
        ("DEFAULT_LANG", "DEFAULT_LANGUAGE"),
        ("LOG-LEVEL", "LOG_LEVEL"),
    ],
)
def test_typo(key: str, meant: str) -> None:
    """An unknown key of .env that is a slip in one of ours is refused with its line and what was meant (fault 52)."""
    (line,) = refused(f"\n{key}={SECRET}\n")
    assert line.startswith(f"{key} (.env, строка 2): ")
    assert line.endswith(f": {meant}")


@pytest.mark.parametrize(
    "key",
    [
        "APP_PORT",
        "BFL_API_KEY",
        "ALLOWED_IDS",
        "TEST_DATABASE_URL",
        "DATABASE_URL_SYNC",
        "REDIS_URL",
        "TELEGRAM_API_ID",
    ],
)
def test_the_bot_s_own_keys(key: str) -> None:
    """Keys of the bot that shares the .env are ignored."""
    write_env(f"{key}=whatever\n")
    assert load_settings() == Settings()


def test_no_known_name_is_a_typo_of_another() -> None:
    """The rule for typos tells our own names apart."""
    fields = Settings.model_fields.items()
    names = [name for one in fields for of in (setting_meta.names, setting_meta.file_names) for name in of(*one)]
    assert [name for name in names if nearest(name, [other for other in names if other != name])] == []


def test_dotenv_spellings() -> None:
    """Quotes, export, comments, lower case, a BOM, CRLF and ${NAME} mean what they mean to the bot's python-dotenv."""
    Path(".env").write_bytes(
        b"\xef\xbb\xbfexport API_PORT='1234' # why\r\nSERVICE_NAME=\"a b\"\r\nHOST=a.kz\r\n"
        b"api_domain=${HOST}\r\nLOG_LEVEL= # nothing\r\n"
    )
    settings = load_settings(environ={})
    assert (settings.api_port, settings.service_name, settings.api_domain) == (1234, "a b", "a.kz")


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (f'API_PORT=1\nTELEGRAM_TOKEN="{SECRET}\n', "TELEGRAM_TOKEN (.env, строка 2): строку нельзя"),
        (f"API_PORT=1\n'{SECRET}\n", ".env (.env, строка 2): строку нельзя"),
        ("TELEGRAM_TOKEN\n", "TELEGRAM_TOKEN (.env, строка 1): нет знака"),
    ],
)
def test_unreadable_line(text: str, start: str) -> None:
    """A line that is not NAME=value is refused by its number, without its text."""
    (line,) = refused(text)
    assert line.startswith(start)
    assert SECRET not in line


def test_unreadable_env_file(tmp_path: Path) -> None:
    """A .env that is a folder, or not UTF-8, is refused; one that does not exist is not."""
    folder = tmp_path / "folder"
    folder.mkdir()
    wide = tmp_path / "wide"
    wide.write_bytes("API_PORT=1".encode("utf-16"))
    for path, why in ((folder, "не обычный файл"), (wide, "не в UTF-8")):
        with pytest.raises(SettingsInvalid, match=why):
            load_settings(path)
    assert load_settings(tmp_path / "absent") == load_settings(wide / "below") == Settings()


def secret_file(content: bytes, mode: int = 0o600) -> Path:
    path = Path("secret.txt").absolute()
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("TELEGRAM_TOKEN_FILE", "telegram_token"),
        ("TELEGRAM_BOT_TOKEN_FILE", "telegram_token"),
        ("FAL_API_KEY_FILE", "fal_api_key"),
        ("FAL_KEY_FILE", "fal_api_key"),
        ("FAL_WEBHOOK_SECRET_FILE", "fal_webhook_secret"),
    ],
)
def test_secret_from_a_file(name: str, field: str) -> None:
    """Each secret, under each of its names, may come from a file; its trailing newline goes."""
    path = secret_file(f"{TOKEN}\r\n".encode())
    assert getattr(load_settings(environ={name: str(path)}), field) == SecretStr(TOKEN)


def test_database_from_a_file() -> None:
    """DATABASE_URL_FILE in .env gives way to DATABASE_URL in the environment."""
    write_env(f"DATABASE_URL_FILE={secret_file(b'sqlite:///file.db')}\n")
    assert load_settings().database_url.get_secret_value() == "sqlite:///file.db"
    chosen = load_settings(environ={"DATABASE_URL": "sqlite:///env.db"})
    assert chosen.database_url.get_secret_value() == "sqlite:///env.db"


@pytest.mark.parametrize(
    ("content", "mode", "why", "fix"),
    [
        (SECRET.encode(), 0o644, "кто угодно", "chmod o-rwx"),
        (b"", 0o600, "файл пуст", "@BotFather"),
        (b"\xff\xfe", 0o600, "не в UTF-8", "путь"),
        (b"x" * 70000, 0o600, "слишком велик", "путь"),
        (f"a {SECRET}".encode(), 0o600, "внутри секрета", "@BotFather"),
    ],
)
def test_bad_secret_file(content: bytes, mode: int, why: str, fix: str) -> None:
    """A secret's file that everyone reads, or that holds no secret, is refused by its path (fault 52)."""
    path = secret_file(content, mode)
    (line,) = refused(TELEGRAM_TOKEN_FILE=str(path))
    assert line.startswith(f"TELEGRAM_TOKEN_FILE (файл {path}; окружение): ")
    assert why in line
    assert fix in line
    assert SECRET not in line


def test_secret_file_of_another_kind(tmp_path: Path) -> None:
    """A missing file, a folder, a NUL and a FIFO nobody writes to are refused at once."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, why in (
        (fifo, "не обычный файл"),
        (tmp_path, "нельзя прочитать"),
        (tmp_path / "absent", "нельзя прочитать"),
        ("a\0b", "нельзя прочитать"),
    ):
        (line,) = refused(FAL_KEY_FILE=str(path))
        assert why in line


def test_value_and_file() -> None:
    """A secret given both as a value and as a file in one place is refused: which one holds is anybody's guess."""
    (line,) = refused(FAL_KEY=SECRET, FAL_API_KEY_FILE=str(secret_file(b"x")))
    assert line.startswith("FAL_KEY (окружение): задано и значение, и файл")


def test_warnings() -> None:
    """What is legal and yet costs something is told to the log, in words without values."""
    write_env(f"FAL_WEBHOOK_SECRET={SECRET}\nAPI_DEBUG=true\n")
    told = load_settings().warnings()
    assert [sentence.split()[0] for sentence in told] == [
        "FAL_WEBHOOK_SECRET",
        "FAL_USER_ID",
        "TELEGRAM_TOKEN",
        "API_DEBUG",
    ]
    assert SECRET not in "".join(told)
    assert Settings(fal_user_id="u", telegram_token=SecretStr(TOKEN)).warnings() == ()


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("postgresql://bot@db.example.org/aisha", True),
        ("postgresql+asyncpg://bot@10.0.0.5/aisha?ssl=require", True),
        ("postgresql://bot@db.example.org/aisha?sslmode=verify-full", False),
        ("postgresql+asyncpg://bot@db.example.org/aisha?ssl=verify-full", False),
        ("postgresql://bot@127.0.0.1/aisha", False),
        ("postgresql:///aisha?host=/var/run/postgresql", False),
        ("sqlite:///data/aisha.db", False),
    ],
)
def test_a_connection_that_may_be_read_is_warned_of(url: str, warned: bool) -> None:
    """PostgreSQL elsewhere without verified TLS: libpq would fall back to none without a word."""
    told = Settings(fal_user_id="u", telegram_token=SecretStr(TOKEN), database_url=SecretStr(url)).warnings()
    assert bool(told) is warned
    assert all(sentence.startswith("DATABASE_URL: ") for sentence in told)


def test_readable_env_file() -> None:
    """A .env with secrets that everyone can read is warned about, with the command that mends it."""
    path = write_env(f"TELEGRAM_TOKEN={TOKEN}\nFAL_USER_ID=u\n")
    assert load_settings().warnings() == ()
    path.chmod(path.stat().st_mode | stat.S_IROTH)
    assert load_settings().warnings()[0].endswith("chmod 600 .env")


def test_secrets_stay_hidden() -> None:
    """No repr or dump of Settings shows a secret, while secret_values lists them all for the logger."""
    settings = Settings(
        telegram_token=SecretStr(TOKEN),
        fal_api_key=SecretStr(SECRET),
        database_url=SecretStr("postgresql://u:p%40ss%3Aw@h/d"),
    )
    shown = repr(settings) + str(settings) + str(settings.model_dump()) + settings.model_dump_json()
    assert not any(text in shown for text in (TOKEN, SECRET, "p%40ss"))
    assert settings.secret_values() == (TOKEN, SECRET, "p%40ss%3Aw", "p@ss:w")
    assert Settings().secret_values() == ()
    with pytest.raises(ValidationError) as caught:
        Settings(fal_api_key=SecretStr(f"a {SECRET}"))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "passwords"),
    [
        ("postgresql://u@h/d?password=wo%3Fd&sslmode=require", {"wo%3Fd", "wo?d"}),
        ("postgresql://u:one@h/d?sslkey=/k.pem&sslpassword=two", {"one", "two"}),
        ("postgresql://u:wh?t@h/d", {"wh?t"}),
        ("postgresql://u:one@h/d?application_name=a@b", {"one"}),
        ("postgresql://u@h/d?options=-csearch_path%3Dbot", set()),
    ],
)
def test_a_password_is_hidden_wherever_the_url_has_it(url: str, passwords: set[str]) -> None:
    """The credentials and the options are both looked through."""
    assert set(Settings(database_url=SecretStr(url)).secret_values()) == passwords


def test_a_setting_of_a_secret_type_is_named_as_a_secret() -> None:
    """What is read as a SecretStr may come from `NAME_FILE`, is marked in the pages, and nothing else is."""
    typed = {name for name, info in Settings.model_fields.items() if "SecretStr" in repr(info.annotation)}
    assert typed == {name for name in Settings.model_fields if setting_meta.is_secret(Settings.model_fields[name])}


def test_env_example_is_current() -> None:
    """env.example is what the settings say it is: `python -c 'from app.cli.setting_page import …'` rewrites it."""
    assert (ROOT / "env.example").read_text(encoding="utf-8") == env_example()


def test_env_example_is_the_defaults() -> None:
    """A copy of env.example changes nothing, and holds every setting once."""
    path = write_env(env_example())
    assert load_settings(path) == Settings()
    names = [line.partition("=")[0] for line in env_example().splitlines() if line and not line.startswith("#")]
    assert sorted(names) == sorted(setting_meta.env_name(field) for field in Settings.model_fields)


@pytest.mark.parametrize("language", ["ru", "en"])
def test_settings_table(language: str) -> None:
    """The table has one row of four cells per setting, in either language."""
    rows = settings_table("ru" if language == "ru" else "en").splitlines()
    assert len(rows) == len(Settings.model_fields) + 2
    assert {row.replace("\\|", "").count("|") for row in rows} == {5}
    assert ("| `API_PORT` | `8443` | порт" in "\n".join(rows)) == (language == "ru")
    assert "`FAL_API_KEY`, `FAL_KEY` (`_FILE`)" in "\n".join(rows)


def test_an_env_file_of_another_account_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """`sed -i` and editors change the file's group: the line holds the chgrp and chmod that let us in (fault 60)."""

    def refuse(path: str, _flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    Path("my folder").mkdir()
    monkeypatch.chdir("my folder")
    monkeypatch.setattr("app.core.setting_sources._open_at_once", refuse)
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(environ={})
    [line] = caught.value.findings
    assert re.search(r"sudo chgrp \S+ '\S+my folder/\.env' && sudo chmod 640 '\S+my folder/\.env'$", line)


def test_an_env_file_that_never_ends_is_not_waited_for() -> None:
    """A FIFO that nobody writes to, and a file of megabytes, are refused at once (fault 60)."""
    os.mkfifo(".env")
    with pytest.raises(SettingsInvalid, match="не обычный файл"):
        load_settings(environ={})
    Path(".env").unlink()
    Path(".env").write_bytes(b"#\n" * (1 << 20))
    with pytest.raises(SettingsInvalid, match="слишком велик"):
        load_settings(environ={})


@pytest.mark.parametrize("value", ["“x”", "„x“", "«x»", "‘x’", "`x`", "”x”"])
@pytest.mark.parametrize("name", ["SERVICE_NAME", "TELEGRAM_TOKEN", "SSL_CERT_PATH", "API_HOST"])
def test_typographic_quotes_are_told(name: str, value: str) -> None:
    """What a text editor makes of quotes is no part of any value (fault 52)."""
    (line,) = refused(f"{name}={value}\n")
    assert "кавычки стали частью значения" in line
