"""No core dumps: the memory of this process holds the TLS key and the tokens."""

import resource


def forbid_core_dumps() -> None:
    """Set the core size limit to zero, for this process and its children."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
