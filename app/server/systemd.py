"""What systemd hands over (a socket that is open already) and what it is told: sd_listen_fds(3), sd_notify(3).

Kept by hand: it is one datagram. Where nobody listens, nothing is sent.
"""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)

FIRST_FD = 3  # sd_listen_fds(3)
READY_EVERY = 0.25  # s between two looks whether the application is ready
HEARING = 0.5  # s that a supervisor has to take what it is told
SIGNS = 3  # of life within a supervisor's patience: with two, one that comes late is one too late

IsAlive = Callable[[], bool]
IsReady = Callable[[], Awaitable[bool]]
Sleep = Callable[[float], Awaitable[None]]


def inherited_socket(environment: Mapping[str, str], pid: int | None = None) -> socket.socket | None:
    """Take over the first socket of `LISTEN_FDS` that is meant for this process, or None.

    The socket outlives us: whoever comes next, or runs beside us, takes connections from the same queue.
    """
    count = environment.get("LISTEN_FDS", "")
    if not _meant_for(pid, environment.get("LISTEN_PID", "")) or not count.isdecimal() or int(count) < 1:
        return None
    os.set_inheritable(FIRST_FD, False)
    return socket.socket(fileno=FIRST_FD)


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Whoever started us and wants to hear how we are.

    `address` is a path or, after an `@`, an abstract name; None where nobody listens. `patience` is how many seconds it
    waits for a sign of life before it kills us; None when it wants none.
    """

    address: str | None = None
    patience: float | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int | None = None) -> "Supervisor":
        """Read `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`; what makes no sense there is left alone."""
        address = environment.get("NOTIFY_SOCKET", "")
        if len(address) < 2 or address[0] not in "/@":  # noqa: PLR2004  a mark and a name; vsock is for machines
            return cls()
        microseconds = environment.get("WATCHDOG_USEC", "")
        watched = microseconds.isdecimal() and int(microseconds) > 0
        watched = watched and _meant_for(pid, environment.get("WATCHDOG_PID") or str(_own(pid)))
        return cls(address, int(microseconds) / 1_000_000 if watched else None)

    def ready(self, status: str) -> None:
        """Say that connections are taken; `status` is what `systemctl status` shows."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Say that the configuration is being read again; `reloaded` must follow."""
        # the clock is what Type=notify-reload asks for, from systemd 253 on
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """Say that it has been read."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """Say that we are leaving, and were asked to or have our reasons."""
        self._tell("STOPPING=1", "STATUS=finishing what is under way")

    async def keep_posted(self, is_alive: IsAlive, sleep: Sleep = asyncio.sleep) -> None:
        """Give a sign of life SIGNS times in its patience, for ever, but only while `is_alive()`.

        It runs on the loop that serves: when that hangs, the signs end by themselves, and so does this process.
        """
        if self.patience is None:
            return
        was_alive = True
        while True:
            alive = is_alive()
            if alive:
                self._tell("WATCHDOG=1")
            elif was_alive:
                log.error("server.watchdog_withheld", seconds=self.patience)
            was_alive = alive
            await sleep(self.patience / SIGNS)

    def _tell(self, *lines: str) -> None:
        if self.address is None:
            return
        name = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as outlet:
                outlet.settimeout(HEARING)  # a supervisor that does not read must not hold the loop
                outlet.sendto("\n".join(lines).encode(), name)
        except OSError as error:
            log.warning("server.supervisor_deaf", told=lines[0], cause=str(error))


async def until(is_ready: IsReady, sleep: Sleep = asyncio.sleep) -> None:
    """Return as soon as the application says that it is ready."""
    while not await is_ready():
        await sleep(READY_EVERY)


def _own(pid: int | None) -> int:
    return os.getpid() if pid is None else pid


def _meant_for(pid: int | None, named: str) -> bool:
    return named == str(_own(pid))
