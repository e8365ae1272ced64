"""The authenticator: what a bad signature costs, and whom it never costs anything."""

import asyncio
import hashlib
import json
import time
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.domain.errors import DeliveryRefused, KeysUnavailable
from app.domain.quotas import BURST, SignatureQuota
from app.fal.addresses import BUILT_IN, Addresses
from app.fal.authenticate import RELUCTANT, Authenticator, IpFilter
from app.fal.keys import FRESH, MIN_INTERVAL, Keys
from app.http_client.failures import HttpFailed
from app.twins import jwks
from app.twins.forgeries import Forgery, forge
from app.twins.signing import ACCOUNT, FOREIGN_ACCOUNT, FalKey, sign
from tests.fakes import FrozenClock
from tests.http_fake import Asked, Given, http_of

pytestmark = pytest.mark.anyio

ADDRESS = "34.123.59.101"  # one of fal's
NEWCOMER = "198.51.100.7"  # one that fal has added since
BODY = b'{"request_id": "r"}'
NEW, OLD, STRANGER = (FalKey(bytes([n]) * 32) for n in (1, 2, 3))


class Door:
    """A authenticator, its clock, and fal's two endpoints: keys, and addresses."""

    def __init__(self, folder: Path, ip_filter: IpFilter = IpFilter.ENFORCE, allowed_ips: tuple[str, ...] = ()) -> None:
        self.clock = FrozenClock()
        self.published = [OLD]
        self.ranges: list[str] = list(BUILT_IN)
        self.is_down = False
        self.fetches = self.looks = 0
        client = http_of(self._answer)
        self.keys = Keys(["https://fal.example/jwks"], folder / "keys.json", client, self.clock.now)
        self.addresses = Addresses(
            "https://fal.example/meta", folder / "addresses.json", client, self.clock.now, allowed_ips
        )
        self.authenticator = Authenticator(
            self.keys,
            self.addresses,
            ip_filter,
            ACCOUNT,
            self.clock.now,
            SignatureQuota(self._seconds),
        )

    def _seconds(self) -> float:
        return self.clock.at.timestamp()

    async def _answer(self, request: Asked) -> Given:
        is_meta = request.url.path == "/meta"
        if is_meta:
            self.looks += 1
        else:
            self.fetches += 1
        await asyncio.sleep(0)
        if self.is_down:
            raise HttpFailed("ConnectError")
        body = json.dumps({"webhook_ip_ranges": self.ranges}).encode() if is_meta else jwks.document(self.published)
        return Given(200, content=body)

    async def knock(self, key: FalKey, address: str | None = ADDRESS, account: str = ACCOUNT) -> str:
        """Deliver; return `ok` or the code of the refusal."""
        headers = sign(key, "r", account, int(self.clock.at.timestamp()), BODY)
        return await self.present(headers, BODY, address)

    async def present(self, headers: dict[str, str], body: bytes, address: str | None = ADDRESS) -> str:
        try:
            signed = await self.authenticator.identify(
                [(name.encode(), value.encode()) for name, value in headers.items()], address
            )
            assert signed is not None
            await self.authenticator.prove(signed, hashlib.sha256(body).hexdigest(), address)
        except (DeliveryRefused, KeysUnavailable) as refused:
            return refused.code
        return "ok"


@pytest.fixture
async def door(tmp_path: Path) -> Door:
    door = Door(tmp_path)
    await door.keys.refresh()
    door.fetches = 0
    return door


async def test_beyond_the_measure_a_bad_signature_is_a_429(door: Door) -> None:
    """Twenty wrong signatures of an address are told so, the next that they are too many; a minute later all anew."""
    codes = [await door.knock(STRANGER) for _ in range(BURST + 3)]
    assert codes == ["signature_invalid"] * BURST + ["signatures_failing"] * 3
    door.clock.move(60)
    assert await door.knock(STRANGER) == "signature_invalid"


async def test_this_machines_own_probes_are_never_too_many(door: Door) -> None:
    """Loopback is where operators and proxies call from: each wrong signature is told so."""
    codes = {await door.knock(STRANGER, "127.0.0.1") for _ in range(BURST * 2)}
    assert codes == {"signature_invalid"}


async def test_a_genuine_delivery_is_never_limited(door: Door) -> None:
    """From an address that sends a thousand forgeries, every genuine delivery among them passes (fault 16)."""
    for _ in range(100):
        for _ in range(10):
            await door.knock(STRANGER)
        assert await door.knock(OLD) == "ok"


async def test_genuine_deliveries_use_nothing_up(door: Door) -> None:
    """However many genuine deliveries came, the first wrong signature is still an ordinary one."""
    for _ in range(BURST * 5):
        assert await door.knock(OLD) == "ok"
    assert await door.knock(STRANGER) == "signature_invalid"


async def test_a_thousand_forgeries_cost_one_fetch(door: Door) -> None:
    """A thousand bad signatures within 30 s set off one fetch of fal's keys, from one address or many (fault 16)."""
    for n in range(1000):
        await door.knock(STRANGER, f"34.123.59.{101 if n % 2 else n % 250}")
    assert door.fetches == 1


async def test_a_flood_sets_off_fewer_fetches(door: Door) -> None:
    """In ten minutes of a flood from one address fal is asked every two minutes (fault 16)."""
    for _ in range(BURST):
        await door.knock(STRANGER)
    door.fetches = 0
    for _ in range(600):
        door.clock.move(1)
        await door.knock(STRANGER)
        await door.knock(STRANGER)
    assert door.fetches == 5


async def test_the_first_delivery_by_a_new_key_passes(door: Door) -> None:
    """After a rotation one fetch is enough, whoever else sends junk (fault 17)."""
    for _ in range(BURST * 2):
        await door.knock(STRANGER, "35.239.83.87")
    door.clock.move(31)
    door.fetches = 0
    door.published = [NEW, OLD]
    assert await door.knock(NEW) == "ok"
    assert door.fetches == 1


async def test_a_new_key_passes_from_a_spent_address_too(door: Door) -> None:
    """Rotated keys are found within two minutes even from an address that never stops sending junk (fault 17)."""
    for _ in range(BURST * 2):
        await door.knock(STRANGER)
    door.published = [NEW, OLD]
    for _ in range(RELUCTANT // timedelta(seconds=1)):
        door.clock.move(1)
        await door.knock(STRANGER)
        await door.knock(STRANGER)
    assert await door.knock(NEW) == "ok"


async def test_a_rotation_is_no_strike(door: Door) -> None:
    """A delivery that fits only after the fetch was no failure (fault 17)."""
    door.published = [NEW]
    assert await door.knock(NEW) == "ok"
    assert [await door.knock(STRANGER) for _ in range(BURST)] == ["signature_invalid"] * BURST


async def test_a_rotation_behind_a_dead_source_is_told_to_come_again(door: Door) -> None:
    """fal rotated while its keys cannot be fetched: 503, however often, and then accepted (faults 16 and 17)."""
    door.clock.at += FRESH + timedelta(seconds=1)
    door.published, door.is_down = [NEW], True
    codes = {await door.knock(NEW) for _ in range(BURST * 2)}
    assert codes == {"keys_unavailable"}
    assert door.fetches == 1
    door.is_down = False
    door.clock.at += MIN_INTERVAL
    assert await door.knock(NEW) == "ok"
    assert await door.knock(STRANGER) == "signature_invalid"


async def test_a_forgery_is_called_one_while_keys_are_fresh(door: Door) -> None:
    """Keys of the last minutes judge alone: an unreachable source turns no forgery into a 503 (fault 16)."""
    door.clock.at += FRESH
    door.is_down = True
    codes = [await door.knock(STRANGER) for _ in range(BURST + 1)]
    assert codes == ["signature_invalid"] * BURST + ["signatures_failing"]


async def test_a_forgery_is_called_one_when_fal_answers(door: Door) -> None:
    """However old the keys, a fetch that brings the same ones proves the forgery (fault 19)."""
    door.clock.at += timedelta(hours=20)
    assert await door.knock(STRANGER) == "signature_invalid"
    assert door.fetches == 1


async def test_a_flood_at_a_dead_source_costs_a_fetch_in_thirty_seconds(door: Door) -> None:
    """While fal's keys cannot be fetched a thousand bad signatures set off one try in 30 s (fault 16)."""
    door.clock.at += timedelta(hours=1)
    door.is_down = True
    for n in range(1000):
        if n == 500:
            door.clock.at += MIN_INTERVAL
        assert await door.knock(STRANGER) == "keys_unavailable"
        if n % 100 == 0:
            assert await door.knock(OLD) == "ok"
    assert door.fetches == 2


@pytest.mark.parametrize("forgery", [Forgery.WRONG_KEY, Forgery.TAMPERED_BODY, Forgery.MALLEABLE, Forgery.LOW_ORDER])
async def test_a_forgery_is_cheap_to_refuse(door: Door, forgery: Forgery) -> None:
    """Each kind of wrong signature costs the processor less than 5 ms, fetch of the keys apart (fault 19)."""
    headers, body = forge(
        forgery, OLD, request_id="r", user_id=ACCOUNT, timestamp=int(door.clock.at.timestamp()), body=BODY
    )
    await door.present(headers, body)
    began = time.process_time()
    for _ in range(50):
        assert (await door.present(headers, body)).startswith("signature")
    assert (time.process_time() - began) / 50 < 0.005


async def test_foreign_accounts_are_counted(door: Door) -> None:
    """What fal signed for somebody else is refused and counted; what a stranger signed is not (fault 20)."""
    assert await door.knock(OLD, account=FOREIGN_ACCOUNT) == "account_foreign"
    assert await door.knock(OLD, account=FOREIGN_ACCOUNT) == "account_foreign"
    assert await door.knock(STRANGER, account=FOREIGN_ACCOUNT) == "signature_invalid"
    assert await door.knock(OLD) == "ok"
    assert door.authenticator.foreign_accounts() == 2


@pytest.mark.parametrize("address", [None, "", "unix", "testclient", "not-an-ip", "203.0.113.9", "34.123.59.101:443"])
async def test_an_unknown_peer_is_denied(door: Door, address: str | None) -> None:
    """Whoever has no address, or one that is no address, may not deliver unless the filter says so (fault 36)."""
    assert await door.knock(OLD, address) == "address_not_listed"


async def test_a_report_is_about_genuine_deliveries_only(tmp_path: Path) -> None:
    """With IP_FILTER=report the log names an unlisted address of a genuine delivery, and stays silent for junk."""
    door = Door(tmp_path, IpFilter.REPORT)
    await door.keys.refresh()
    with capture_logs() as logs:
        assert await door.knock(OLD, "203.0.113.9") == "ok"
        assert await door.knock(OLD) == "ok"
        assert await door.knock(STRANGER, "203.0.113.9") == "signature_invalid"
    assert [(entry["event"], entry["address"]) for entry in logs if entry["event"].startswith("delivery.")] == [
        ("delivery.address_not_listed", "203.0.113.9")
    ]


async def test_off_says_nothing(tmp_path: Path) -> None:
    """With IP_FILTER=off addresses are neither judged nor told."""
    door = Door(tmp_path, IpFilter.OFF)
    await door.keys.refresh()
    with capture_logs() as logs:
        assert await door.knock(OLD, None) == "ok"
    assert logs == []


@pytest.mark.parametrize(("seconds", "words"), [(301, "301 s fast"), (-301, "301 s slow")])
async def test_a_wrong_clock_is_named_in_the_refusal(tmp_path: Path, seconds: int, words: str) -> None:
    """With our clock 301 s off, the refusal says "clock" and by how much, measured against fal's own (fault 15)."""
    door = Door(tmp_path)
    door.clock.at = door.clock.at.replace(microsecond=500_000)
    true = door.clock.at
    door.clock.move(seconds)
    door.keys.skew.timing("fal.example")({"date": true.strftime("%a, %d %b %Y %H:%M:%S GMT")})
    headers = sign(OLD, "r", ACCOUNT, int(true.timestamp()), BODY)
    with pytest.raises(DeliveryRefused) as caught:
        await door.authenticator.identify([(name.encode(), value.encode()) for name, value in headers.items()], ADDRESS)
    assert caught.value.code == "timestamp_outside_window"
    assert f"measured against fal's, this clock is {words}" in caught.value.detail


async def test_a_replay_is_told_from_a_wrong_clock(door: Door) -> None:
    """With a right clock the refusal of an old delivery says that the clock is right (faults 15 and 22)."""
    door.keys.skew.timing("fal.example")({"date": door.clock.at.strftime("%a, %d %b %Y %H:%M:%S GMT")})
    headers = sign(OLD, "r", ACCOUNT, int(door.clock.at.timestamp()) - 301, BODY)
    with pytest.raises(DeliveryRefused, match=r"301 s behind this server's clock; .*, this clock is right"):
        await door.authenticator.identify([(name.encode(), value.encode()) for name, value in headers.items()], ADDRESS)


async def test_an_address_that_fal_has_added_is_let_in_at_once(door: Door) -> None:
    """fal delivers from a new address: the list is fetched before anybody is refused (fault 36)."""
    door.ranges.append(f"{NEWCOMER}/32")
    assert await door.knock(OLD, NEWCOMER) == "ok"
    assert door.looks == 1


async def test_strangers_cost_a_fetch_of_the_list_in_a_minute(door: Door) -> None:
    """A thousand strangers at once, with headers as fal's, are refused by one fetch a minute (fault 36)."""
    strangers = [f"203.0.{n % 4}.{n // 4}" for n in range(1000)]
    codes = await asyncio.gather(*(door.knock(STRANGER, address) for address in strangers))
    assert set(codes) == {"address_not_listed"}
    assert door.looks == 1
    door.ranges.append(f"{NEWCOMER}/32")
    door.clock.move(59)
    assert await door.knock(OLD, NEWCOMER) == "address_not_listed"
    door.clock.move(1)
    assert await door.knock(OLD, NEWCOMER) == "ok"
    assert door.looks == 2


async def test_an_unreachable_list_refuses_as_before(door: Door) -> None:
    """When the list cannot be fetched the one held rules, and is asked for again a minute later (fault 16)."""
    door.ranges.append(f"{NEWCOMER}/32")
    door.is_down = True
    assert [await door.knock(OLD, NEWCOMER) for _ in range(3)] == ["address_not_listed"] * 3
    assert door.looks == 1
    assert await door.knock(OLD) == "ok"
    door.is_down = False
    door.clock.move(60)
    assert await door.knock(OLD, NEWCOMER) == "ok"


async def test_after_a_failed_hourly_fetch_nobody_waits_for_another(door: Door) -> None:
    """A list that could not be fetched is not asked for again within a minute, whoever wanted it (fault 16)."""
    door.ranges.append(f"{NEWCOMER}/32")
    door.is_down = True
    assert not await door.addresses.refresh()
    door.is_down = False
    door.clock.move(59)
    assert await door.knock(OLD, NEWCOMER) == "address_not_listed"
    assert door.looks == 1
    door.clock.move(1)
    assert await door.knock(OLD, NEWCOMER) == "ok"


async def test_a_hanging_list_is_not_waited_for(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the hourly fetch hangs a newcomer is answered all the same, and does not start another."""
    monkeypatch.setattr("app.fal.addresses.LOOK_SECONDS", 0.0)
    async with door.addresses._fetching:
        assert await door.knock(OLD, NEWCOMER) == "address_not_listed"
    assert door.looks == 0


async def test_an_old_or_unreadable_call_sets_off_no_fetch(door: Door) -> None:
    """A replay from an unlisted address, or a caller without one, is refused without asking fal."""
    door.ranges.append(f"{NEWCOMER}/32")
    headers = sign(OLD, "r", ACCOUNT, int(door.clock.at.timestamp()) - 301, BODY)
    assert await door.present(headers, BODY, NEWCOMER) == "address_not_listed"
    assert await door.knock(OLD, None) == "address_not_listed"
    assert await door.knock(OLD, "not-an-ip") == "address_not_listed"
    assert door.looks == 0


@pytest.mark.parametrize(
    ("ip_filter", "allowed_ips", "code"),
    [
        (IpFilter.OFF, (), "ok"),
        (IpFilter.REPORT, (), "ok"),
        (IpFilter.ENFORCE, ("192.0.2.0/24",), "address_not_listed"),
    ],
)
async def test_no_list_is_fetched_where_it_would_not_count(
    tmp_path: Path, ip_filter: IpFilter, allowed_ips: tuple[str, ...], code: str
) -> None:
    """Neither a filter that refuses nobody nor ALLOWED_IPS, which replaces the list, asks fal for it."""
    door = Door(tmp_path, ip_filter, allowed_ips)
    await door.keys.refresh()
    assert await door.knock(OLD, NEWCOMER) == code
    assert door.looks == 0
