"""The key of this installation: it signs what `aisha-webhook try` sends, and proves deliveries of that kind only.

It may be used from the addresses of this machine alone.
"""

import socket
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from nacl.exceptions import ValueError as NaclValueError
from nacl.signing import SigningKey, VerifyKey

from app.domain.network import read_address
from app.fal.signature import REQUEST_ID, SIGNATURE, TIMESTAMP, USER_ID
from app.files.atomic_write import put, put_new

FILE = "try.key"  # in DATA_DIR; 32 bytes as hex
ACCOUNT = "this-installation"  # stands where fal names its account
MODE = 0o600


class OwnKeys:
    """The one key as deliveries are judged by it: it stands in a file of ours and is never fetched."""

    def __init__(self, key: VerifyKey) -> None:
        self._keys = (key,)

    def current(self) -> Sequence[VerifyKey]:
        """Return the key."""
        return self._keys

    async def ensure(self) -> bool:
        """Tell that there is one."""
        return True

    async def refresh_after_failure(self, interval: timedelta | None = None) -> bool:  # noqa: ARG002  as fal's keys
        """Tell that there is no other."""
        return False

    def may_be_outdated(self) -> bool:
        """Tell that there is no newer one."""
        return False

    def clock_offset(self) -> timedelta | None:
        """Tell nothing: whoever signs has the same clock."""
        return None

    def prefer(self, key: VerifyKey) -> None:
        """Change nothing: there is no other."""


def load(path: Path) -> SigningKey:
    """Read the key. Raises OSError, and ValueError for a file that holds no key."""
    try:
        return SigningKey(bytes.fromhex(path.read_text(encoding="ascii").strip()))
    except NaclValueError as error:
        raise ValueError(str(error)) from None


def load_or_make(path: Path) -> SigningKey:
    """Read the key, making one where there is none or no usable one. Raises OSError.

    Of several processes that start at once one makes it, and the others read that.
    """
    try:
        return load(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        put_new(path, _written(SigningKey.generate()), mode=MODE)
    except ValueError:
        put(path, _written(SigningKey.generate()), mode=MODE)
    return load(path)


def sign(key: SigningKey, request_id: str, timestamp: int, body_sha256: str) -> dict[str, str]:
    """Make the four headers of a delivery as fal makes them; `timestamp` in Unix seconds, the hash in hex."""
    text = f"{request_id}\n{ACCOUNT}\n{timestamp}\n{body_sha256}".encode()
    return {
        REQUEST_ID.decode(): request_id,
        USER_ID.decode(): ACCOUNT,
        TIMESTAMP.decode(): str(timestamp),
        SIGNATURE.decode(): key.sign(text).signature.hex(),
    }


def _written(key: SigningKey) -> bytes:
    return f"{bytes(key).hex()}\n".encode()


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
    """Tell whether this machine has the address: the kernel lets a socket bind to no other."""
    if address.is_unspecified or address.is_multicast:
        return False
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
