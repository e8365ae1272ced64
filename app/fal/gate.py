"""Who may deliver: fal, from fal's addresses, for our account, now."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import structlog

from app.domain.errors import DeliveryRefused, KeysUnavailable
from app.fal.addresses import Addresses
from app.fal.keys import Keys
from app.fal.signature import SignedHeaders, check_clock, matching_key, read_headers

log = structlog.get_logger("app.webhook")


class IpFilter(StrEnum):
    """What an address outside fal's list means."""

    ENFORCE = "enforce"
    REPORT = "report"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Gate:
    """Judges one POST. `account` is our fal user id; None accepts any account (and is warned about at start)."""

    keys: Keys
    addresses: Addresses
    ip_filter: IpFilter
    account: str | None
    clock: Callable[[], datetime]

    def identify(self, headers: Iterable[tuple[bytes, bytes]], address: str | None) -> SignedHeaders | None:
        """Judge what needs no body: the address, the form of the headers, the clock, the account.

        Returns None for an unsigned call. Raises DeliveryRefused.
        """
        signed = read_headers(headers)
        if signed is None:
            return None
        if self.ip_filter is not IpFilter.OFF and not self.addresses.allows(address):
            if self.ip_filter is IpFilter.ENFORCE:
                raise DeliveryRefused(403, "address_not_listed", "this address is not one of fal's")
            log.warning("delivery.address_not_listed", request_id=signed.request_id, address=address)
        check_clock(signed, self.clock().timestamp())
        return signed

    async def prove(self, signed: SignedHeaders, body_sha256: str) -> None:
        """Verify the signature, then pin the account.

        Raises DeliveryRefused, or KeysUnavailable when there is no key to judge with.
        """
        if not self.keys.current() and not await self.keys.ensure():
            raise KeysUnavailable("no fal key younger than a day is at hand")
        if not self._fits(signed, body_sha256) and not (
            await self.keys.refresh_after_failure() and self._fits(signed, body_sha256)
        ):
            raise DeliveryRefused(401, "signature_invalid", "no key of fal's made this signature")
        if self.account is not None and signed.user_id != self.account:
            raise DeliveryRefused(403, "account_foreign", "signed by fal, but for another account")

    def _fits(self, signed: SignedHeaders, body_sha256: str) -> bool:
        key = matching_key(signed, body_sha256, self.keys.current())
        if key is not None:
            self.keys.prefer(key)
        return key is not None
