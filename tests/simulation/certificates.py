"""The certificate of worlds that serve TLS: near its end or not, and replaced by one that cannot be served."""

import asyncio
import random
from datetime import datetime, timedelta
from typing import Any

from app.bootstrap.certificate import load_certificate
from app.core.clock import SystemClock
from app.core.config import Settings
from app.domain.errors import CertificateBroken
from app.tls.certificates import SELF_SIGNED_LIFETIME, ensure_pair, self_signed
from app.tls.live import LiveContext
from tests.fakes import START
from tests.simulation.chance import stream

LOOKS = 600.0  # s between two looks of a process at its pair
ENDS_IN = (
    timedelta(minutes=50),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(days=5),
    timedelta(days=60),
    timedelta(days=300),
)


def prepare(world: Any) -> None:
    """Put a pair where the server looks for it; when it ends is drawn."""
    settings: Settings = world.settings
    if settings.ssl_enabled:
        made = START - SELF_SIGNED_LIFETIME + stream(world.seed, "certificate").choice(ENDS_IN)
        ensure_pair(settings.ssl_cert_path, settings.ssl_key_path, settings.api_domain, made)


def load(settings: Settings) -> LiveContext | None:
    """Load what is served; who starts the server finds a pair that is none, and puts another in its place."""
    try:
        return load_certificate(settings)
    except CertificateBroken:
        mend(settings, SystemClock().now())
        return load_certificate(settings)


def mend(settings: Settings, now: datetime) -> None:
    """Put a pair there that can be served."""
    certificate, key = self_signed(settings.api_domain, now)
    settings.ssl_key_path.write_bytes(key)
    settings.ssl_cert_path.write_bytes(certificate)


async def spoil(world: Any, chance: random.Random) -> None:
    """Replace the pair in the running server: by a new one, by one of another key, by no certificate at all."""
    settings: Settings = world.settings
    if not settings.ssl_enabled:
        return
    how = chance.choice(("new", "other key", "junk"))
    world.ledger.note("world", f"the certificate is replaced: {how}")
    mend(settings, world.now())
    if how != "new":
        other, _ = self_signed(settings.api_domain, world.now())
        settings.ssl_cert_path.write_bytes(b"no certificate" if how == "junk" else other)
        await asyncio.sleep(chance.choice((600, 3600)))
        mend(settings, world.now())
