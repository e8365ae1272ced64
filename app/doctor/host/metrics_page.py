"""Whether strangers may come to /metrics as 127.0.0.1: through a TCP tunnel, or a proxy that passes TLS on unread."""

from collections.abc import Sequence

from app.doctor.finding import Catalogue, Finding, Level, Wording, finding
from app.domain.language import Language, msgid
from app.domain.network import is_loopback

WORDS: Catalogue = {
    "metrics.open": Wording(
        Level.WARN,
        msgid("/metrics is open to everybody: all connections come from 127.0.0.1, and METRICS_TOKEN is not set"),
        msgid("Write METRICS_TOKEN into .env and restart: openssl rand -hex 32"),
        "${{EDITOR:-nano}} .env",
    ),
}


def look_at_metrics(*, has_token: bool, passes_tls: bool, trusted: Sequence[str], language: Language) -> list[Finding]:
    """Warn where whoever connects from loopback may be anybody; `trusted` is FORWARDED_ALLOW_IPS.

    An operator who has taken loopback out of it says so, as docs/tunnels.md has it for tunnels.
    """
    is_anybody = passes_tls or not any(is_loopback(one.partition("/")[0]) for one in trusted)
    return [finding(WORDS, "metrics.open", language)] if is_anybody and not has_token else []
