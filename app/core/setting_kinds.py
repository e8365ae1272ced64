"""Kinds of settings: their types, each with its check and what to write in place of what does not pass it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import orjson
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from app.core import setting_checks as checks
from app.core.setting_checks import Wrong
from app.domain.language import Msgid, msgid

_BRACKETED = re.compile(r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]")  # an IPv6 address at the start of a list, which is no JSON


@dataclass(frozen=True, slots=True)
class ValueKind(AfterValidator):
    """What a value is checked with, and what to write in place of one that does not pass."""

    remedy: Msgid


def text(check: Callable[[str], str], remedy: Msgid) -> ValueKind:
    """Make a kind of a check for texts: of a list each item is checked, of a secret its text."""

    def judge(value: str | SecretStr | tuple[str, ...]) -> object:
        if isinstance(value, SecretStr):
            check(value.get_secret_value())
            return value
        return tuple(dict.fromkeys(map(check, value))) if isinstance(value, tuple) else check(value)

    return ValueKind(judge, remedy)


def _home(path: Path) -> Path:
    try:
        return path.expanduser()  # still relative to the working directory if it was
    except RuntimeError:
        raise Wrong(msgid("the home folder is unknown")) from None


def _chat(chat: int) -> int:
    if chat == 0:
        raise Wrong(msgid("zero is not a chat"))
    return chat


def _items(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = value.strip()
    parts: list[object] = list(text.split(","))
    if text.startswith("[") and not _BRACKETED.match(text):
        try:
            parts = orjson.loads(text)
        except orjson.JSONDecodeError:
            parts = [None]
    if not all(isinstance(part, str) for part in parts):
        raise Wrong(msgid("a broken JSON list"))
    return tuple(filter(None, (str(part).strip() for part in parts)))


Lower = BeforeValidator(lambda text: text.strip().lower())
Upper = BeforeValidator(lambda text: text.strip().upper())
Items = Annotated[tuple[str, ...], BeforeValidator(_items)]
Filled = Annotated[Items, Field(min_length=1)]

HTTPS = msgid("https://… (http:// for localhost only)")
DATABASE = msgid(
    "sqlite:///data/aisha.db or postgresql://name:password@host/database, "
    "in the password %40 for @, %2F for /, %3A for :"
)
HOST = msgid("a host name or an IP, without a port")
Label = Annotated[str, Field(min_length=1, max_length=100), ValueKind(str, msgid("up to 100 characters"))]
Account = Annotated[
    str,
    Field(min_length=1, max_length=200),
    ValueKind(str, msgid("the account's id from fal's dashboard, up to 200 characters")),
]
Url = Annotated[str, text(checks.check_url, HTTPS)]
Urls = Annotated[Filled, text(checks.check_url, HTTPS)]
SecretUrl = Annotated[SecretStr, text(checks.check_url, HTTPS)]
BASE = msgid("https://host without ? and #; http:// for localhost only")
BaseUrl = Annotated[str, text(checks.check_base, BASE)]
BotApiUrl = Annotated[str, text(checks.check_bot_api, BASE)]
PublicUrl = Annotated[str, text(checks.check_public, msgid("https://t.me/name or a page of your site"))]
Endpoint = Annotated[
    str, text(checks.check_endpoint, msgid("owner/app in lower case, such as fal-ai/flux-lora-fast-training"))
]
Host = Annotated[str, text(checks.check_host, HOST)]
Domain = Annotated[str, text(checks.check_domain, HOST)]
FileName = Annotated[str, text(checks.check_file_name, msgid("a file name, one for each log"))]
FilePath = Annotated[Path, ValueKind(_home, msgid("the path of a file"))]
FolderPath = Annotated[Path, ValueKind(_home, msgid("the path of a folder"))]
ChatId = Annotated[int, ValueKind(_chat, msgid("the chat's id in digits, negative for groups"))]
Secret = Annotated[SecretStr, text(checks.check_secret, msgid("the whole key, without spaces and quotes"))]
Token = Annotated[SecretStr, text(checks.check_token, msgid("32 characters or more: openssl rand -hex 32"))]
BotToken = Annotated[SecretStr, text(checks.check_secret, msgid("the token from @BotFather, such as 123456:ABC"))]
DatabaseUrl = Annotated[SecretStr, text(checks.check_database, DATABASE)]
Networks = Annotated[Items, text(checks.check_network, msgid("addresses and networks: 203.0.113.7,10.0.0.0/8"))]
Trusted = Annotated[
    Items,
    text(checks.check_trusted, msgid("your nginx's address, such as 127.0.0.1 or 172.18.0.0/16; unix behind a socket")),
]
HostPatterns = Annotated[Filled, text(checks.check_host_pattern, msgid("names with commas, without https:// and port"))]
ArtifactHosts = Annotated[Filled, text(checks.check_artifact_host, msgid("names with commas, *.name for all below it"))]
Marks = Annotated[
    Items,
    text(
        checks.check_mark,
        msgid("hosts and beginnings of ids with commas, from 4 characters: fallback-lora.com,fallback-style-"),
    ),
]
Origins = Annotated[Items, text(checks.check_origin, msgid("https://host with commas, without a path; [] for none"))]
