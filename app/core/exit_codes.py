"""What an exit code means, of the server as of every command."""

from enum import IntEnum


class Exit(IntEnum):
    """sysexits(3) where it has a number; a supervisor starts us again after TRY_AGAIN and not after CONFIG."""

    OK = 0
    CHECK_FAILED = 1
    USAGE = 2
    REMOTE_DOWN = 69
    TRY_AGAIN = 75
    CONFIG = 78
