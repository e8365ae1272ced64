"""What systemd hands over: a socket that is open already, so that a restart refuses nobody."""

import os
import socket
from collections.abc import Mapping

FIRST_FD = 3  # sd_listen_fds(3)


def inherited_socket(environment: Mapping[str, str], pid: int | None = None) -> socket.socket | None:
    """Take over the first socket of `LISTEN_FDS` that is meant for this process, or None.

    The socket outlives us: whoever comes next, or runs beside us, takes connections from the same queue.
    """
    meant_for = environment.get("LISTEN_PID", "")
    count = environment.get("LISTEN_FDS", "")
    if meant_for != str(os.getpid() if pid is None else pid) or not count.isdecimal() or int(count) < 1:
        return None
    os.set_inheritable(FIRST_FD, False)
    return socket.socket(fileno=FIRST_FD)
