"""Who may read what is the operator's: whoever has METRICS_TOKEN, or without one this machine itself."""

import secrets
from dataclasses import dataclass

import structlog
from fastapi import Request

from app.domain.errors import AccessRefused
from app.domain.network import is_loopback
from app.domain.quotas import SignatureQuota

log = structlog.get_logger(__name__)

# Where one of these stands, somebody else is behind the peer: a proxy on this machine must open nothing to strangers.
FORWARDING = (
    "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "cf-connecting-ip",
    "true-client-ip", "x-client-ip",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OperatorAccess:
    """`token` None: this machine may read, and nobody else. `failures` are rationed by address."""

    token: str | None
    failures: SignatureQuota

    def admit(self, request: Request) -> None:
        """Let the operator in. Raises AccessRefused: 401 for a wrong token, 429 for many, 403 for a stranger."""
        address = request.client.host if request.client else None
        if self.token is None:
            if is_loopback(address) and not any(name in request.headers for name in FORWARDING):
                return
            raise AccessRefused(403, "metrics_closed", "without METRICS_TOKEN only this machine itself may read this")
        if has_bearer(request, self.token):
            return
        if self.failures.add(address):
            log.warning("metrics.refused", address=address)
            raise AccessRefused(401, "token_wrong", "send Authorization: Bearer with the value of METRICS_TOKEN")
        raise AccessRefused(429, "too_many_failures", "too many wrong tokens from this address")


def has_bearer(request: Request, token: str) -> bool:
    """Tell whether a request brings this token, in a time that says nothing of it."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return secrets.compare_digest(given.strip().encode(), token.encode()) and scheme.lower() == "bearer"
