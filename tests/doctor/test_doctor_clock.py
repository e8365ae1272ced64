"""What the doctor says of this machine's clock, by fal's own answers."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from app.doctor.fal import look_at_keys
from app.doctor.finding import Level
from app.domain.alert import AlertLevel
from app.domain.alert_rules import MachineFacts, machine_alarms
from tests.http_fake import Given, http_of

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC)  # half past the second: what a Date stands for on average
ALARMS = {Level.OK: [], Level.WARN: [AlertLevel.WARN], Level.FAIL: [AlertLevel.CRITICAL]}


@pytest.mark.parametrize(
    ("seconds", "code", "level"),
    [
        (45, "clock.ok", Level.OK),
        (-45, "clock.ok", Level.OK),
        (90, "clock.skewed", Level.WARN),
        (-90, "clock.skewed", Level.WARN),
        (210, "clock.skewed", Level.WARN),
        (270, "clock.wrong", Level.FAIL),
        (-270, "clock.wrong", Level.FAIL),
    ],
)
async def test_the_doctor_and_the_alerts_judge_the_clock_alike(seconds: int, code: str, level: Level) -> None:
    """A minute off is worth a warning, four minutes are a failure, for whoever asks (fault 15)."""
    headers = {"Date": format_datetime(NOW.replace(microsecond=0), usegmt=True)}
    client = http_of(lambda _: Given(200, headers=headers, json={"keys": []}))
    here = NOW + timedelta(seconds=seconds)
    *_, clock = await look_at_keys(client, ["https://fal.example/jwks"], lambda: here, "en")
    assert (clock.code, clock.level) == (code, level)
    facts = MachineFacts(
        running_for=timedelta(hours=1),
        certificate=None,
        keys_age=None,
        keys_usable=True,
        clock_offset=timedelta(seconds=seconds),
        foreign=0,
        addresses_age=None,
        failing="",
    )
    assert [alarm.level for alarm in machine_alarms(facts, "web-1", NOW, foreign_before=0)] == ALARMS[level]
