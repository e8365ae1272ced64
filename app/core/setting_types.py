"""Kinds of settings: each checks one text and says by a code from `setting_errors.WRONG` what is wrong with it."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import orjson
from pydantic import AfterValidator, BeforeValidator, SecretStr

from app.core.setting_checks import (
    Wrong,
    check_artifact_host,
    check_base,
    check_chat,
    check_database,
    check_domain,
    check_endpoint,
    check_file_name,
    check_host,
    check_host_pattern,
    check_mark,
    check_network,
    check_origin,
    check_path,
    check_public,
    check_secret,
    check_token,
    check_trusted,
    check_url,
)
from app.core.setting_errors import Remedy
from app.domain.language import msgid

_BRACKETED = re.compile(r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]")  # an IPv6 address at the start of a list, which is no JSON


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _items(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text.startswith("[") or _BRACKETED.match(text):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Wrong("list_json") from None
    if not all(isinstance(item, str) for item in parsed):
        raise Wrong("list_json")
    return tuple(item.strip() for item in parsed if item.strip())


def _each(check: Callable[[str], str]) -> Callable[[Iterable[str]], tuple[str, ...]]:
    def check_all(items: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(check(item) for item in items))

    return check_all


def _filled(items: tuple[str, ...]) -> tuple[str, ...]:
    if not items:
        raise Wrong("list_empty")
    return items


def _check_secret_url(secret: SecretStr) -> SecretStr:
    check_url(secret.get_secret_value())
    return secret


_PATH = BeforeValidator(_stripped), AfterValidator(check_path)
_LIST = BeforeValidator(_items)
_HTTPS = Remedy(msgid("https://… (http:// for localhost only)"))
_HOST = Remedy(msgid("a host name or an IP, without a port"))

Lower = BeforeValidator(_lower)
Upper = BeforeValidator(_upper)
Stripped = BeforeValidator(_stripped)
Text = Annotated[str, Stripped]

Url = Annotated[Text, AfterValidator(check_url), _HTTPS]
BaseUrl = Annotated[
    Text, AfterValidator(check_base), Remedy(msgid("https://host without ? and #; http:// for localhost only"))
]
SecretUrl = Annotated[SecretStr, AfterValidator(_check_secret_url), _HTTPS]
PublicUrl = Annotated[Text, AfterValidator(check_public), Remedy(msgid("https://t.me/name or a page of your site"))]
Endpoint = Annotated[
    Text,
    AfterValidator(check_endpoint),
    Remedy(msgid("owner/app in lower case, such as fal-ai/flux-lora-fast-training")),
]
Host = Annotated[Text, AfterValidator(check_host), _HOST]
Domain = Annotated[Text, AfterValidator(check_domain), _HOST]
FileName = Annotated[Text, AfterValidator(check_file_name), Remedy(msgid("a file name, one for each log"))]
FilePath = Annotated[Path, *_PATH, Remedy(msgid("the path of a file"))]
FolderPath = Annotated[Path, *_PATH, Remedy(msgid("the path of a folder"))]
ChatId = Annotated[
    int, Stripped, AfterValidator(check_chat), Remedy(msgid("the chat's id in digits, negative for groups"))
]
Secret = Annotated[SecretStr, AfterValidator(check_secret), Remedy(msgid("the whole key, without spaces and quotes"))]
Token = Annotated[Secret, AfterValidator(check_token), Remedy(msgid("32 characters or more: openssl rand -hex 32"))]
BotToken = Annotated[Secret, Remedy(msgid("the token from @BotFather, such as 123456:ABC"))]
DatabaseUrl = Annotated[
    SecretStr,
    AfterValidator(check_database),
    Remedy(msgid("sqlite:///data/aisha.db or postgresql://name:password@host/database")),
]
Urls = Annotated[tuple[str, ...], _LIST, AfterValidator(_each(check_url)), AfterValidator(_filled), _HTTPS]
Networks = Annotated[
    tuple[str, ...],
    _LIST,
    AfterValidator(_each(check_network)),
    Remedy(msgid("addresses and networks: 203.0.113.7,10.0.0.0/8")),
]
Trusted = Annotated[
    tuple[str, ...],
    _LIST,
    AfterValidator(_each(check_trusted)),
    Remedy(msgid("your nginx's address, such as 127.0.0.1 or 172.18.0.0/16; unix behind a socket")),
]
HostPatterns = Annotated[
    tuple[str, ...],
    _LIST,
    AfterValidator(_each(check_host_pattern)),
    AfterValidator(_filled),
    Remedy(msgid("names with commas, without https:// and port")),
]
ArtifactHosts = Annotated[
    tuple[str, ...],
    _LIST,
    AfterValidator(_each(check_artifact_host)),
    AfterValidator(_filled),
    Remedy(msgid("names with commas, *.name for all below it")),
]
Marks = Annotated[
    tuple[str, ...],
    _LIST,
    AfterValidator(_each(check_mark)),
    Remedy(msgid("hosts and beginnings of ids with commas, from 4 characters: fallback-lora.com,fallback-style-")),
]
Origins = Annotated[
    tuple[str, ...],
    _LIST,
    AfterValidator(_each(check_origin)),
    Remedy(msgid("https://host with commas, without a path; [] for none")),
]
