"""What one machine knows of itself, for the alerts."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from app.domain.alert_rules import Certificate, MachineFacts
from app.fal.addresses import Addresses
from app.fal.authenticate import Authenticator, IpFilter
from app.fal.keys import Keys
from app.flows.ports import Clock

if TYPE_CHECKING:  # without TLS nothing of X.509 is loaded
    from app.tls.live import LiveContext


def machine_facts(
    clock: Clock,
    began: datetime,
    tls: "LiveContext | None",
    authenticator: Authenticator,
    *,
    list_failing: Callable[[], str],
    keys: Keys,
    addresses: Addresses,
) -> MachineFacts:
    """Gather what this machine knows of itself."""
    certificate = None
    if tls is not None:
        served = tls.served
        certificate = Certificate(served.links[0].not_before, served.ends, tls.trouble)
    running_for = clock.now() - began
    addresses_age = None
    if authenticator.ip_filter is IpFilter.ENFORCE and not addresses.is_fixed:
        fetched = addresses.age()
        addresses_age = running_for if fetched is None else fetched
    return MachineFacts(
        running_for=running_for,
        certificate=certificate,
        keys_age=keys.age(),
        keys_usable=bool(keys.current()),
        clock_offset=keys.clock_offset(),
        foreign=authenticator.foreign_accounts(),
        addresses_age=addresses_age,
        failing=list_failing(),
    )
