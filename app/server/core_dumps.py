"""No core dumps: the memory of this process holds the TLS key and the tokens."""

import resource


def forbid_core_dumps() -> None:
    """Let a crash leave no image of the memory, for this process and whatever it starts."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
