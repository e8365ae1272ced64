"""Who may deliver: fal, from fal's addresses, for our account, now."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import structlog

from app.domain.errors import DeliveryRefused, KeysUnavailable
from app.domain.quotas import SignatureQuota
from app.fal.keys import MIN_INTERVAL, Key
from app.fal.signature import CLOCK_TOLERANCE, SignedHeaders, check_clock, matching_key, read_headers

RELUCTANT = timedelta(minutes=2)  # between two fetches of keys for an address that floods us; fal retries for longer

log = structlog.get_logger("app.webhook")


class IpFilter(StrEnum):
    """What an address outside fal's list means."""

    ENFORCE = "enforce"
    REPORT = "report"
    OFF = "off"


class SigningKeys(Protocol):
    """The keys that a delivery of one kind may be signed with."""

    def current(self) -> Sequence[Key]:
        """Return what is held and may be trusted."""

    async def ensure(self) -> bool:
        """Fetch when nothing is at hand; tell whether there is something now."""

    async def refresh_after_failure(self, interval: timedelta | None = None) -> bool:
        """Look for other keys; tell whether they are others now."""

    def may_be_outdated(self) -> bool:
        """Tell whether there may be other keys by now that could not be fetched."""

    def clock_offset(self) -> timedelta | None:
        """Tell by how much our clock is ahead of the signer's, None where that is not known."""

    def prefer(self, key: Key) -> None:
        """Put the key that just fitted first."""


class Senders(Protocol):
    """The addresses that deliveries of one kind may come from."""

    def allows(self, address: str | None) -> bool:
        """Tell whether a peer with this address may deliver."""

    async def look_again(self, address: str | None) -> bool:
        """Look for a newer list because it lacks `address`; tell whether it holds it now."""


@dataclass(slots=True)
class Authenticator:
    """Judges one POST. `account` is our fal user id; None accepts any account (and is warned about at start)."""

    keys: SigningKeys
    addresses: Senders
    ip_filter: IpFilter
    account: str | None
    clock: Callable[[], datetime]
    failures: SignatureQuota = field(default_factory=lambda: SignatureQuota(time.monotonic))
    _foreign_accounts: int = field(default=0, init=False)

    def foreign_accounts(self) -> int:
        """Count the refused deliveries, since the start, that fal did sign, but for an account that is not ours."""
        return self._foreign_accounts

    def takes_account(self, user_id: str) -> bool:
        """Tell whether deliveries for this account of fal's are ours."""
        return self.account is None or user_id == self.account

    async def identify(self, headers: Iterable[tuple[bytes, bytes]], address: str | None) -> SignedHeaders | None:
        """Judge what needs no body: the form of the headers, the address, the clock.

        Returns None for an unsigned call. Raises DeliveryRefused, at most 1.5 s later: fal may have a new address.
        """
        signed = read_headers(headers)
        if signed is None:
            return None
        if self.ip_filter is IpFilter.ENFORCE and not self.addresses.allows(address):
            await self._look_up(signed, address)
        check_clock(signed, self.clock().timestamp(), self.keys.clock_offset)
        return signed

    async def _look_up(self, signed: SignedHeaders, address: str | None) -> None:
        """Fetch fal's addresses in case there are more; refuse whom the list does not hold even then."""
        is_timely = abs(signed.timestamp - self.clock().timestamp()) <= CLOCK_TOLERANCE
        if not is_timely or not await self.addresses.look_again(address):
            raise DeliveryRefused(403, "address_not_listed", "this address is not one of fal's")

    async def prove(self, signed: SignedHeaders, body_sha256: str, address: str | None) -> None:
        """Verify the signature, then pin the account.

        Raises DeliveryRefused, or KeysUnavailable when there is no key to judge with, or none sure to be fal's latest.
        """
        if not self.keys.current() and not await self.keys.ensure():
            raise KeysUnavailable("no fal key younger than a day is at hand")
        if not self._fits(signed, body_sha256):
            await self._look_again(signed, body_sha256, address)
        if not self.takes_account(signed.user_id):
            self._foreign_accounts += 1
            raise DeliveryRefused(403, "account_foreign", "signed by fal, but for another account")
        if self.ip_filter is IpFilter.REPORT and not self.addresses.allows(address):
            log.warning("delivery.address_not_listed", request_id=signed.request_id, address=address)

    async def _look_again(self, signed: SignedHeaders, body_sha256: str, address: str | None) -> None:
        """Fetch fal's keys in case they changed; refuse what still fits none."""
        interval = RELUCTANT if self.failures.are_many(address) else MIN_INTERVAL
        if await self.keys.refresh_after_failure(interval) and self._fits(signed, body_sha256):
            return
        if self.keys.may_be_outdated():
            # Perhaps fal has a new key: a 401 or 429 could lose a genuine delivery, a 503 brings it again.
            raise KeysUnavailable("no key at hand made this signature, and fal cannot be asked for newer ones")
        if self.failures.add(address):
            raise DeliveryRefused(401, "signature_invalid", "no key of fal's made this signature")
        raise DeliveryRefused(
            429, "signatures_failing", "too many signatures from this address were wrong, this one, too"
        )

    def _fits(self, signed: SignedHeaders, body_sha256: str) -> bool:
        key = matching_key(signed, body_sha256, self.keys.current())
        if key is not None:
            self.keys.prefer(key)
        return key is not None
