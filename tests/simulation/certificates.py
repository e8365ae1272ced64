"""The certificate of worlds that serve TLS: near its end or not, and replaced by one that cannot be served."""

import random
from datetime import timedelta
from typing import Any

from app.tls.certificates import SELF_SIGNED_LIFETIME, ensure_pair, self_signed
from tests.fakes import START
from tests.simulation.chance import stream

ENDS_IN = (timedelta(hours=2), timedelta(hours=5), timedelta(days=5), timedelta(days=60), timedelta(days=300))


def prepare(world: Any) -> None:
    """Put a pair where the server looks for it; when it ends is drawn."""
    settings = world.settings
    if settings.ssl_enabled:
        made = START - SELF_SIGNED_LIFETIME + stream(world.seed, "certificate").choice(ENDS_IN)
        ensure_pair(settings.ssl_cert_path, settings.ssl_key_path, settings.api_domain, made)


async def spoil(world: Any, chance: random.Random) -> None:
    """Replace the pair in the running server: by a new one, by one of another key, by no certificate at all."""
    settings = world.settings
    if not settings.ssl_enabled:
        return
    how = chance.choice(("new", "other key", "junk"))
    world.ledger.note("world", f"the certificate is replaced: {how}")
    certificate, key = self_signed(settings.api_domain, world.now())
    settings.ssl_cert_path.write_bytes(b"no certificate" if how == "junk" else certificate)
    if how == "new":
        settings.ssl_key_path.write_bytes(key)
