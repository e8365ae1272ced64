"""Values are set in an env file, and everything else in it stays."""

from io import StringIO

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from app.cli.env_lines import NotWritable, quoted, with_values

NAMES = {"TELEGRAM_TOKEN": ("TELEGRAM_BOT_TOKEN", "TELEGRAM_TOKEN_FILE")}


def test_other_lines_stay_and_the_order_too() -> None:
    """A value is replaced where it stands; comments, blanks and foreign lines are left alone."""
    text = "# mine\nA=1\n\nexport API_PORT = 1\nTELEGRAM_BOT_TOKEN=old\nB=2"
    assert with_values(text, {"TELEGRAM_TOKEN": "new", "C": "3"}, NAMES) == (
        "# mine\nA=1\n\nexport API_PORT = 1\nTELEGRAM_TOKEN=new\nB=2\nC=3\n"
    )


def test_a_setting_is_left_once() -> None:
    """Aliases, pointers to files and repeats go: two ways to say one thing would be refused at the start."""
    text = "TELEGRAM_TOKEN_FILE=/x\nA=1\nTELEGRAM_TOKEN=a\ntelegram_bot_token=b\n"
    assert with_values(text, {"TELEGRAM_TOKEN": "c"}, NAMES) == "TELEGRAM_TOKEN=c\nA=1\n"


def test_an_empty_value_takes_the_line_away() -> None:
    """What is removed leaves no empty assignment."""
    assert with_values("A=1\nB=2\n", {"A": ""}, {}) == "B=2\n"


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1))
def test_what_is_written_is_what_is_read(value: str) -> None:
    """python-dotenv reads back exactly the value, or nothing is written at all."""
    try:
        line = f"NAME={quoted(value)}\n"
    except NotWritable:
        return
    assert dotenv_values(stream=StringIO(line)) == {"NAME": value}


@pytest.mark.parametrize("value", ["it's", "a\\b", "${HOME}", "two\nlines"])
def test_what_readers_would_differ_on_is_refused(value: str) -> None:
    """No quoting makes systemd and python-dotenv read these alike."""
    with pytest.raises(NotWritable):
        quoted(value)
