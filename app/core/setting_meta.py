"""What a person needs to know of one setting, carried by its pydantic field."""

from collections.abc import Sequence
from typing import Any, cast, get_args

from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo

from app.core.setting_errors import Bilingual

BOOL = "true | false"
PATH: Bilingual = ("путь к файлу", "the path of a file")
FOLDER: Bilingual = ("путь к папке", "the path of a folder")
HTTPS: Bilingual = ("https://… (http:// только для localhost)", "https://… (http:// for localhost only)")
BASE: Bilingual = (
    "https://узел без «?» и «#» (http:// только для localhost)",
    "https://host without ? and #; http:// for localhost only",
)
LOG: Bilingual = ("имя файла, своё для каждого журнала", "a file name, one for each log")
KEY: Bilingual = ("ключ целиком, без пробелов и кавычек", "the whole key, without spaces and quotes")
OWN_TOKEN: Bilingual = ("32 знака или больше: openssl rand -hex 32", "32 characters or more: openssl rand -hex 32")
ENDPOINT: Bilingual = (
    "владелец/приложение строчными, как fal-ai/flux-lora-fast-training",
    "owner/app in lower case, such as fal-ai/flux-lora-fast-training",
)
HOST: Bilingual = ("имя узла или IP без порта", "a host name or an IP, without a port")
NETWORKS: Bilingual = (
    "адреса и сети через запятую: 203.0.113.7,10.0.0.0/8",
    "addresses and networks: 203.0.113.7,10.0.0.0/8",
)
DATABASE: Bilingual = (
    "sqlite:///data/aisha.db или postgresql://имя:пароль@узел/база",
    "sqlite:///data/aisha.db or postgresql://name:password@host/database",
)
TOKEN: Bilingual = ("токен от @BotFather вида 123456:ABC", "the token from @BotFather, such as 123456:ABC")


def setting(
    default: object,
    ru: str,
    en: str,
    write: str | Bilingual,
    *,
    aliases: Sequence[str] = (),
    section: Bilingual | None = None,
    shown: Bilingual | None = None,
) -> Any:
    """Make a field of its default, its purpose in two languages and what a right value looks like.

    *section* stands on the first setting of a section; *shown* replaces an empty default on the page.
    """
    words = [write, write] if isinstance(write, str) else list(write)
    extra = {"ru": ru, "write": words, "aliases": list(aliases), "section": section, "shown": shown}
    return Field(default=default, description=en, json_schema_extra=cast("Any", extra))


def number(low: float, high: float, example: float) -> Bilingual:
    """Word the remedy of a bounded number."""
    return f"число от {low} до {high}, например {example}", f"a number from {low} to {high}, such as {example}"


def _extra(field: FieldInfo) -> dict[str, Any]:
    return cast("dict[str, Any]", field.json_schema_extra)


def purpose(field: FieldInfo) -> Bilingual:
    """Tell what the setting is for."""
    return _extra(field)["ru"], field.description or ""


def write(field: FieldInfo) -> Bilingual:
    """Tell what a right value looks like."""
    ru, en = _extra(field)["write"]
    return ru, en


def aliases(field: FieldInfo) -> tuple[str, ...]:
    """List further names of the setting."""
    return tuple(_extra(field)["aliases"])


def section(field: FieldInfo) -> Bilingual | None:
    """Tell the heading that starts with this setting."""
    words = _extra(field)["section"]
    return (words[0], words[1]) if words else None


def shown(field: FieldInfo) -> Bilingual | None:
    """Tell what a page says in place of an empty default."""
    words = _extra(field)["shown"]
    return (words[0], words[1]) if words else None


def env_name(field: str) -> str:
    """Spell a field of Settings as the environment does."""
    return field.upper()


def is_secret(field: FieldInfo) -> bool:
    """Tell whether the value may never be shown, for its type says so; it can also come from `NAME_FILE`."""
    return _holds_secret(field.annotation)


def _holds_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(map(_holds_secret, get_args(annotation)))
