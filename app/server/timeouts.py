"""How long the server waits for a client, and how far the kernel says it has read its answer."""

import fcntl
import socket
import sys
from dataclasses import dataclass

SWEEPS = 30  # in one client_timeout
SIOCOUTQNSD = 0x894B  # linux/sockios.h; on other systems an OSError: there a client that does not read is not cut
TCP_INFO_BYTES_ACKED = 120  # offset in linux/tcp.h's tcp_info


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the server waits for a client, in seconds; `every` is the time between two sweeps.

    `asking`: for the rest of a header or body, or for the first byte; `unread`: for 16 KiB of an answer to be taken;
    `leftover`: for the rest of a body that was answered before its end; `closing`: for the client to close after its
    answer; `refused`: for the client to close after a refusal.
    """

    every: float
    asking: float
    unread: float
    leftover: float
    closing: float
    refused: float

    @classmethod
    def of(cls, client_timeout: float) -> "Timeouts":
        """Divide `client_timeout` so that, with sweeps and closing, no client takes longer."""
        every, refused = min(0.5, client_timeout / SWEEPS), min(1.0, client_timeout / 15)
        asking = client_timeout - 2 * every - refused
        brief = min(2.0, asking)
        return cls(every, asking, asking, leftover=brief, closing=brief, refused=refused)

    def at_shutdown(self) -> "Timeouts":
        """Return shorter times for the stop: requests under way finish, and a client that does not close is cut."""
        return Timeouts(
            every=min(self.every, 0.1),
            asking=min(self.asking, 3.0),
            unread=min(self.unread, 3.0),
            leftover=min(self.leftover, 0.5),
            closing=min(self.closing, 0.5),
            refused=min(self.refused, 0.5),
        )


def unsent(fd: int) -> int:
    """Return how many bytes the kernel holds back because the peer has no room for them; raises OSError."""
    return int.from_bytes(fcntl.ioctl(fd, SIOCOUTQNSD, b"\0\0\0\0"), sys.byteorder)


def acknowledged(fd: int) -> int:
    """Return how many bytes the peer has taken since the connection began; raises OSError."""
    borrowed = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=fd)
    try:
        size = TCP_INFO_BYTES_ACKED + 8
        info = borrowed.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
        return int.from_bytes(info[TCP_INFO_BYTES_ACKED:size], sys.byteorder)
    finally:
        borrowed.detach()
