"""The addresses of this machine: only from here may the installation's own key be used."""

import socket
from ipaddress import IPv4Address, IPv6Address

from app.domain.network import read_address


class OwnMachine:
    """Stands where fal's list of addresses stands for other kinds."""

    def allows(self, address: str | None) -> bool:
        """Tell whether a peer with this address is on this machine: loopback, or an address that is bound here."""
        found = read_address(address)
        return found is not None and (found.is_loopback or _is_bound_here(found))

    async def look_again(self, address: str | None) -> bool:
        """Tell the same: there is no newer list."""
        return self.allows(address)


def _is_bound_here(address: IPv4Address | IPv6Address) -> bool:
    """Ask the kernel, which lets nobody take an address that the machine has not."""
    if address.is_unspecified or address.is_multicast:
        return False
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
