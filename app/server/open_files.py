"""Limits of this process: open files, of which each connection is one, and no core dumps.

The memory of this process holds the TLS key and the tokens.
"""

import resource

import structlog

log = structlog.get_logger(__name__)

OWN = 128  # files beside connections: databases, logs, calls to fal and Telegram


def make_room(connections: int) -> int:
    """Raise the limit of open files as far as needed and allowed; return how many connections fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + OWN
    if resource.RLIM_INFINITY != soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return connections
    fitting = min(connections, max(soft - OWN, soft // 2))
    log.warning("server.too_few_files", limit=soft, wanted=needed, connections=fitting)
    return fitting


def forbid_core_dumps() -> None:
    """Set the core size limit to zero, for this process and its children."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
