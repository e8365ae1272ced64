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


def _each(check: Callable[[str], str]) -> AfterValidator:
    def check_all(items: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(check(item) for item in items))

    return AfterValidator(check_all)


def _filled(items: tuple[str, ...]) -> tuple[str, ...]:
    if not items:
        raise Wrong("list_empty")
    return items


def _check_secret_url(secret: SecretStr) -> SecretStr:
    check_url(secret.get_secret_value())
    return secret


HTTPS = Remedy(msgid("https://… (http:// for localhost only)"))
BASE = Remedy(msgid("https://host without ? and #; http:// for localhost only"))
PAGE = Remedy(msgid("https://t.me/name or a page of your site"))
OWNER_APP = Remedy(msgid("owner/app in lower case, such as fal-ai/flux-lora-fast-training"))
HOST = Remedy(msgid("a host name or an IP, without a port"))
KEY = Remedy(msgid("the whole key, without spaces and quotes"))
OF_OURS = Remedy(msgid("32 characters or more: openssl rand -hex 32"))
OF_BOTFATHER = Remedy(msgid("the token from @BotFather, such as 123456:ABC"))
DATABASE = Remedy(msgid("sqlite:///data/aisha.db or postgresql://name:password@host/database"))
NETWORKS = Remedy(msgid("addresses and networks: 203.0.113.7,10.0.0.0/8"))
NGINX = Remedy(msgid("your nginx's address, such as 127.0.0.1 or 172.18.0.0/16; unix behind a socket"))
NAMES = Remedy(msgid("names with commas, without https:// and port"))
NAMES_BELOW = Remedy(msgid("names with commas, *.name for all below it"))
SITES = Remedy(msgid("https://host with commas, without a path; [] for none"))
MARKS = Remedy(msgid("hosts and beginnings of ids with commas, from 4 characters: fallback-lora.com,fallback-style-"))

Lower = BeforeValidator(_lower)
Upper = BeforeValidator(_upper)
Stripped = BeforeValidator(_stripped)
Filled = AfterValidator(_filled)
Text = Annotated[str, Stripped]
Items = Annotated[tuple[str, ...], BeforeValidator(_items)]
Place = Annotated[Path, Stripped, AfterValidator(check_path)]

Url = Annotated[Text, AfterValidator(check_url), HTTPS]
BaseUrl = Annotated[Text, AfterValidator(check_base), BASE]
SecretUrl = Annotated[SecretStr, AfterValidator(_check_secret_url), HTTPS]
PublicUrl = Annotated[Text, AfterValidator(check_public), PAGE]
Endpoint = Annotated[Text, AfterValidator(check_endpoint), OWNER_APP]
Host = Annotated[Text, AfterValidator(check_host), HOST]
Domain = Annotated[Text, AfterValidator(check_domain), HOST]
FileName = Annotated[Text, AfterValidator(check_file_name), Remedy(msgid("a file name, one for each log"))]
FilePath = Annotated[Place, Remedy(msgid("the path of a file"))]
FolderPath = Annotated[Place, Remedy(msgid("the path of a folder"))]
ChatId = Annotated[
    int, Stripped, AfterValidator(check_chat), Remedy(msgid("the chat's id in digits, negative for groups"))
]
Secret = Annotated[SecretStr, AfterValidator(check_secret), KEY]
Token = Annotated[Secret, AfterValidator(check_token), OF_OURS]
BotToken = Annotated[Secret, OF_BOTFATHER]
DatabaseUrl = Annotated[SecretStr, AfterValidator(check_database), DATABASE]
Urls = Annotated[Items, _each(check_url), Filled, HTTPS]
Networks = Annotated[Items, _each(check_network), NETWORKS]
Trusted = Annotated[Items, _each(check_trusted), NGINX]
HostPatterns = Annotated[Items, _each(check_host_pattern), Filled, NAMES]
ArtifactHosts = Annotated[Items, _each(check_artifact_host), Filled, NAMES_BELOW]
Marks = Annotated[Items, _each(check_mark), MARKS]
Origins = Annotated[Items, _each(check_origin), SITES]
