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


Text = Annotated[str, BeforeValidator(_stripped)]


def _check_secret_url(secret: SecretStr) -> SecretStr:
    check_url(secret.get_secret_value())
    return secret


Url = Annotated[Text, AfterValidator(check_url)]
BaseUrl = Annotated[Text, AfterValidator(check_base)]
SecretUrl = Annotated[SecretStr, AfterValidator(_check_secret_url)]
PublicUrl = Annotated[Text, AfterValidator(check_public)]
Endpoint = Annotated[Text, AfterValidator(check_endpoint)]
Host = Annotated[Text, AfterValidator(check_host)]
Domain = Annotated[Text, AfterValidator(check_domain)]
FileName = Annotated[Text, AfterValidator(check_file_name)]
FilePath = Annotated[Path, BeforeValidator(_stripped), AfterValidator(check_path)]
ChatId = Annotated[int, BeforeValidator(_stripped), AfterValidator(check_chat)]
Secret = Annotated[SecretStr, AfterValidator(check_secret)]
Token = Annotated[SecretStr, AfterValidator(check_secret), AfterValidator(check_token)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(check_database)]
Urls = Annotated[tuple[str, ...], BeforeValidator(_items), AfterValidator(_each(check_url)), AfterValidator(_filled)]
Networks = Annotated[tuple[str, ...], BeforeValidator(_items), AfterValidator(_each(check_network))]
Trusted = Annotated[tuple[str, ...], BeforeValidator(_items), AfterValidator(_each(check_trusted))]
HostPatterns = Annotated[
    tuple[str, ...], BeforeValidator(_items), AfterValidator(_each(check_host_pattern)), AfterValidator(_filled)
]
ArtifactHosts = Annotated[
    tuple[str, ...], BeforeValidator(_items), AfterValidator(_each(check_artifact_host)), AfterValidator(_filled)
]
Marks = Annotated[tuple[str, ...], BeforeValidator(_items), AfterValidator(_each(check_mark))]
Origins = Annotated[tuple[str, ...], BeforeValidator(_items), AfterValidator(_each(check_origin))]
Lower = BeforeValidator(_lower)
Upper = BeforeValidator(_upper)
Stripped = BeforeValidator(_stripped)
