"""The certificate that is served now: its chain, and how much of its life is left."""

from datetime import datetime
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.dashboard.parts import ROOT, DashboardParts
from app.dashboard.remedies import pasted
from app.dashboard.rendering import render, view_of
from app.domain.alert_rules import WARN_LEFT

if TYPE_CHECKING:  # without TLS nothing of X.509 is loaded
    from app.tls.certificates import CertificateFacts

router = APIRouter()
COMMANDS = {"look": "aisha-webhook doctor tls", "chain": "aisha-webhook cert fix-chain", "renew": "sudo certbot renew"}


@router.get(f"{ROOT}/certificate")
async def certificate_page(request: Request) -> Response:
    """Show the chain from the issuer that was sent last down to our own."""
    parts: DashboardParts = request.app.state.parts
    now, tls = parts.clock.now(), parts.tls
    if tls is None:
        return render(request, "certificate.html", "page.certificate", page="certificate", chain=[], doubts=[])
    from app.tls.certificates import facts_of  # noqa: PLC0415  without TLS nothing of X.509 is loaded
    from app.tls.doubts import doubts_about  # noqa: PLC0415  as above

    served, language = tls.served, view_of(request).language
    doubts = doubts_about(served, parts.settings.api_domain, now)
    chain = [facts_of(one, now) for one in reversed(served.chain)]
    return render(
        request,
        "certificate.html",
        "page.certificate",
        page="certificate",
        chain=[(facts, life_left(facts, now)) for facts in chain],
        doubts=[doubt.text(language) for doubt in doubts],
        is_old=life_left(chain[-1], now) <= 100 * WARN_LEFT,
        commands={name: pasted(command) for name, command in COMMANDS.items()},
        trouble=tls.trouble,
        missing=served.missing_issuer,
    )


def life_left(facts: "CertificateFacts", now: datetime) -> int:
    """Return what is left of a certificate's life, in per cent of the whole."""
    whole = facts.not_after - facts.not_before
    return max(0, min(100, round(100 * (facts.not_after - now) / whole))) if whole else 0
