from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.owner_zone import is_default, is_night, read_zone

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "hours"),
    [
        ("UTC+5", 5),
        ("utc +05:00", 5),
        ("GMT-3", -3),
        ("UTC\u22123", -3),
        ("+6", 6),
        ("UTC+0530", 5.5),
        ("UTC", 0),
        ("gmt", 0),
        ("Z", 0),
        ("UTC+14", 14),
    ],
)
def test_offsets_are_read_as_people_write_them(raw: str, hours: float) -> None:
    """With or without UTC, colon and zeros."""
    assert NOW.astimezone(read_zone(raw)).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize(
    "raw", ["", " ", "UTC+15", "UTC+99:99", "the moon", "../../etc/passwd", "Asia", "\x00", "UTC+٥"]
)
def test_what_is_no_zone_means_the_bots_default(raw: str) -> None:
    """An owner whose zone cannot be read lives where most of the bot's owners live."""
    assert is_default(raw)
    assert NOW.astimezone(read_zone(raw)).hour == 17


def test_a_named_zone_is_known() -> None:
    """A name of the IANA tables counts where the machine has them."""
    if not _has_tables():
        pytest.skip("this machine has no table of zones")
    assert NOW.astimezone(read_zone("Europe/London")).hour == 12


def _has_tables() -> bool:
    return not is_default("Europe/London")


@pytest.mark.parametrize(("hour", "night"), [(22, False), (23, True), (0, True), (7, True), (8, False), (12, False)])
def test_night_is_from_23_to_8(hour: int, night: bool) -> None:
    """The owner's own hour counts, whole hours."""
    assert is_night("UTC", NOW.replace(hour=hour, minute=59)) is night


@settings(max_examples=25)
@given(st.text(max_size=32))
def test_any_zone_is_read(raw: str) -> None:
    """Whatever stands in the bot's column, a night can be told of it."""
    assert is_night(raw, NOW) in (True, False)


def test_night_is_told_by_the_owners_clock() -> None:
    """At 18:30 UTC it is night in Astana and evening in London, wherever this server stands."""
    evening = NOW.replace(hour=18, minute=30)
    assert is_night("UTC+5", evening)
    assert not is_night("UTC", evening)
    assert not is_night("UTC-3:30", evening)
    assert is_night("UTC-11", evening)
    assert not is_night("UTC-10:30", evening)
