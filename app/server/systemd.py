"""The protocols of systemd: taking over an open socket, sd_listen_fds(3), and reporting the state, sd_notify(3).

Implemented here because it is one datagram. Without NOTIFY_SOCKET nothing is sent.
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
HEARING = 0.5  # s to wait for systemd to receive a message
SIGNS = 3  # watchdog messages per WatchdogSec: with two, a single late one would exceed the limit

IsAlive = Callable[[], bool]
IsReady = Callable[[], Awaitable[bool]]
Sleep = Callable[[float], Awaitable[None]]


def inherited_socket(environment: Mapping[str, str], pid: int | None = None) -> socket.socket | None:
    """Take over the first socket of `LISTEN_FDS` that is meant for this process, or None.

    systemd keeps the socket open: the next process, or another one beside this, accepts from the same queue.
    """
    count = environment.get("LISTEN_FDS", "")
    if not _meant_for(pid, environment.get("LISTEN_PID", "")) or not count.isdecimal() or int(count) < 1:
        return None
    os.set_inheritable(FIRST_FD, False)
    return socket.socket(fileno=FIRST_FD)


@dataclass(frozen=True, slots=True)
class Supervisor:
    """The service manager that started this process and expects status messages.

    `address` is a path or, after an `@`, an abstract name; None where no messages are wanted. `patience` is WatchdogSec
    in seconds, after which a process without a message is killed; None without a watchdog.
    """

    address: str | None = None
    patience: float | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int | None = None) -> "Supervisor":
        """Read `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`; invalid values are ignored."""
        address = environment.get("NOTIFY_SOCKET", "")
        if len(address) < 2 or address[0] not in "/@":  # noqa: PLR2004  a character and a name; vsock is not supported
            return cls()
        microseconds = environment.get("WATCHDOG_USEC", "")
        watched = microseconds.isdecimal() and int(microseconds) > 0
        watched = watched and _meant_for(pid, environment.get("WATCHDOG_PID") or str(_own(pid)))
        return cls(address, int(microseconds) / 1_000_000 if watched else None)

    def ready(self, status: str) -> None:
        """Report that connections are accepted; `status` is what `systemctl status` shows."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Report that the configuration is being read again; `reloaded` must follow."""
        # the clock is what Type=notify-reload asks for, from systemd 253 on
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """Report that it has been read."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """Report that the process is stopping on purpose."""
        self._tell("STOPPING=1", "STATUS=finishing what is under way")

    async def keep_posted(self, is_alive: IsAlive, sleep: Sleep = asyncio.sleep) -> None:
        """Send a watchdog message SIGNS times per `patience`, for ever, but only while `is_alive()`.

        It runs on the event loop that serves: when that hangs, the messages stop and systemd restarts the process.
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
                outlet.settimeout(HEARING)  # a service manager that does not read must not block the event loop
                outlet.sendto("\n".join(lines).encode(), name)
        except OSError as error:
            log.warning("server.supervisor_deaf", told=lines[0], cause=str(error))


async def until(is_ready: IsReady, sleep: Sleep = asyncio.sleep) -> None:
    """Return as soon as the application reports that it is ready."""
    while not await is_ready():
        await sleep(READY_EVERY)


def _own(pid: int | None) -> int:
    return os.getpid() if pid is None else pid


def _meant_for(pid: int | None, named: str) -> bool:
    return named == str(_own(pid))
