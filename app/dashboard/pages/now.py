"""Now: is anything broken that somebody must act on."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.core.text import one_line
from app.dashboard.parts import ROOT, DashboardParts
from app.dashboard.rendering import render, span, view_of
from app.db import alerts, operator_queries
from app.db.operator_queries import Queue
from app.db.views import figures
from app.db.views.figures import Balance
from app.domain.alert import REMEDY, Alert, Condition
from app.telegram.catalogs import Catalogs

router = APIRouter()
SHOWN = 20  # rows of each queue that wait for somebody
LINKS = {
    Condition.DELIVERIES_BURIED: "/deliveries?q=state:dead",
    Condition.DATABASE_BACKLOG: "/deliveries?q=state:pending",
    Condition.ORPHANS_WAITING: "/deliveries?q=reason:orphan",
    Condition.NOTIFICATIONS_BURIED: "/messages?q=state:dead",
    Condition.NOTIFICATIONS_LATE: "/messages?q=state:pending",
    Condition.JOBS_OVERDUE: "/jobs?q=state:pending",
    Condition.RESULTS_GONE: "/jobs?q=outcome:gone",
    Condition.ARTIFACT_ABSENT: "/jobs?q=artifact:absent",
    Condition.FAILURES_JUMPED: "/errors",
    Condition.CERTIFICATE_EXPIRING: "/certificate",
    Condition.CERTIFICATE_EXPIRED: "/certificate",
    Condition.CERTIFICATE_REFUSED: "/certificate",
}


@router.get(ROOT)
async def now_page(request: Request) -> Response:
    """Show the balance, what waits, what is set aside, and the alerts."""
    parts: DashboardParts = request.app.state.parts
    read, now = parts.database.read, parts.clock.now()
    totals = await parts.totals()
    opened = await read(alerts.open_now)
    dead = {
        queue: await read(operator_queries.recent, queue, state="dead", limit=SHOWN)
        for queue in (Queue.DELIVERIES, Queue.NOTIFICATIONS)
    }
    words = Catalogs("ru").of(view_of(request).language)
    shown = [_shown(alert, words.gettext) for alert in opened]
    verdict = "act" if shown or any(dead.values()) else "well"
    balance = _balance(await read(figures.balance, now), totals, now)
    return render(request, "now.html", "page.now", page="", verdict=verdict, balance=balance, alerts=shown, dead=dead)


def _balance(found: Balance, totals: dict[str, Any], now: datetime) -> list[tuple[str, object, str]]:
    """List name, figure and the page that shows the rows, '' where there is none."""
    oldest, last = found.oldest_waiting, totals["last_delivery"]
    day, dead = " after:24h", found.unresolved
    return [
        ("submitted", found.submitted, f"jobs?q={day[1:]}"),
        ("received", found.received, f"deliveries?q={day[1:]}"),
        ("applied", found.applied, f"deliveries?q=state:done{day}"),
        ("told", found.told, f"messages?q=state:sent{day}"),
        ("recovered", found.recovered, ""),
        ("mended", found.mended, "jobs"),
        ("waiting", totals["deliveries"]["pending"], "deliveries?q=state:pending"),
        ("oldest", span(None if oldest is None else now - oldest), "deliveries?q=state:pending"),
        ("untold", totals["notifications"]["pending"], "messages?q=state:pending"),
        ("orphans", totals["orphans"], "deliveries?q=reason:orphan"),
        ("dead", dead["deliveries"], "deliveries?q=state:dead"),
        ("dead_messages", dead["notifications"], "messages?q=state:dead"),
        ("dead_jobs", dead["jobs"], "jobs?q=state:dead"),
        ("open_jobs", sum(totals["open_jobs"].values()), "jobs?q=state:pending"),
        ("overdue", dead["overdue"], "jobs?q=state:pending"),
        ("last", span(None if last is None else now - last), "deliveries"),
    ]


def _shown(alert: Alert, say: Any) -> dict[str, Any]:
    """Word an alert as its message in Telegram is worded, with the page that shows what it is about."""
    condition = alert.condition
    return {
        "alert": alert,
        "title": say(f"alert.{condition}.title"),
        "text": say(f"alert.{condition}.text").format(detail=one_line(alert.detail)),
        "command": REMEDY[condition],
        "link": f"{ROOT}{LINKS[condition]}" if condition in LINKS else None,
    }
