"""The exit codes of the server and of every command."""

from enum import IntEnum


class Exit(IntEnum):
    """Numbers of sysexits(3) where it has one; systemd restarts the process after TRY_AGAIN and not after CONFIG."""

    OK = 0
    CHECK_FAILED = 1
    USAGE = 2
    REMOTE_DOWN = 69
    BUG = 70
    TRY_AGAIN = 75
    CONFIG = 78
