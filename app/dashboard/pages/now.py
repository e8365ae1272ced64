"""Now: is anything broken that somebody must act on."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.core.text import one_line
from app.dashboard.opening import ROOT, DashboardParts
from app.dashboard.rendering import render, span, view_of
from app.db import alerts, operator_queries
from app.db.operator_queries import Queue
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
    read = parts.database.read
    totals = await parts.totals()
    opened = await read(alerts.open_now)
    dead = {
        queue: await read(operator_queries.recent, queue, state="dead", limit=SHOWN)
        for queue in (Queue.DELIVERIES, Queue.NOTIFICATIONS)
    }
    words = Catalogs("ru").of(view_of(request).language)
    shown = [_shown(alert, words.gettext) for alert in opened]
    verdict = "act" if shown or any(dead.values()) else "well"
    balance = _balance(totals, parts.clock.now())
    return render(request, "now.html", "page.now", page="", verdict=verdict, balance=balance, alerts=shown, dead=dead)


def _balance(totals: dict[str, Any], now: datetime) -> list[tuple[str, object, str]]:
    """List name, figure and the page that shows the rows, '' where there is none."""
    deliveries, notifications = totals["deliveries"], totals["notifications"]
    oldest, last = totals["oldest_pending"], totals["last_delivery"]
    return [
        ("received", sum(deliveries.values()), "deliveries"),
        ("applied", deliveries["done"], "deliveries?q=state:done"),
        ("told", notifications["sent"], "messages?q=state:sent"),
        ("waiting", deliveries["pending"], "deliveries?q=state:pending"),
        ("oldest", span(None if oldest is None else now - oldest), "deliveries?q=state:pending"),
        ("untold", notifications["pending"], "messages?q=state:pending"),
        ("dead", deliveries["dead"], "deliveries?q=state:dead"),
        ("dead_messages", notifications["dead"], "messages?q=state:dead"),
        ("orphans", totals["orphans"], "deliveries?q=reason:orphan"),
        ("open_jobs", sum(totals["open_jobs"].values()), "jobs?q=state:pending"),
        ("overdue", totals["overdue_trainings"], "jobs?q=state:pending"),
        ("drifted", totals["drifted"], "jobs"),
        ("duplicates", totals["duplicates"], ""),
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
