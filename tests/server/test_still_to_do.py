"""What the banner lists as still to do."""

from typing import Any

import pytest
from pydantic import SecretStr

from app.catalog import translate
from app.core.config import Settings
from app.domain.language import Language
from app.server.banner import WORDS, Banner, still_to_do

DONE: dict[str, Any] = {
    "api_domain": "aibots.kz",
    "telegram_token": SecretStr(f"123456789:{'A' * 35}"),
    "operator_chat_id": 7,
    "fal_user_id": "us",
    "fal_api_key": SecretStr("key"),
    "database_url": SecretStr("postgresql://u@h/d"),
}


def listed(*, has_keys: bool = True, is_self_signed: bool = False, **changes: Any) -> list[str]:
    settings = {name: value for name, value in {**DONE, **changes}.items() if value is not None}
    return still_to_do(Settings(**settings), has_keys=has_keys, is_self_signed=is_self_signed)


def test_nothing_is_left_where_everything_is_set() -> None:
    """A finished installation is told so."""
    assert listed() == []
    assert "everything is set up" in Banner("https://127.0.0.1:1", "https://a.kz/x", "00", []).text("en")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("keys", {"has_keys": False}),
        ("domain", {"api_domain": None}),
        ("telegram", {"telegram_token": None}),
        ("operator", {"operator_chat_id": None}),
        ("account", {"fal_user_id": None}),
        ("self_signed", {"is_self_signed": True}),
        ("sqlite", {"database_url": None}),
        ("key", {"fal_api_key": None}),
    ],
)
def test_what_is_missing_is_listed(name: str, changes: dict[str, Any]) -> None:
    """Each thing that an installation may lack has its own line, in both languages."""
    assert listed(**changes) == [name]
    languages: tuple[Language, ...] = ("ru", "en")
    for language in languages:
        text = Banner("https://127.0.0.1:1", "https://a.kz/x", None, [name]).text(language)
        assert f"1. {translate(WORDS[name], language)}" in text


@pytest.mark.parametrize(
    "token", ["123456:ABC", "token", "123456789", f"bot123456789:{'A' * 35}", f":{'A' * 35}", f"123456789:{'A' * 20}"]
)
def test_a_token_of_the_wrong_shape_is_listed(token: str) -> None:
    """A placeholder is no token, though it may be set: nothing would be sent with it."""
    assert listed(telegram_token=SecretStr(token)) == ["token"]


def test_the_first_is_what_hurts_most() -> None:
    """Without keys nothing is accepted: that comes before what is only inconvenient."""
    told = listed(has_keys=False, is_self_signed=True, **dict.fromkeys(DONE))
    assert told == ["keys", "domain", "telegram", "operator", "account", "self_signed", "sqlite", "key"]
