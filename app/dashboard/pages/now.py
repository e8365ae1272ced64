"""Now: is anything broken that somebody must act on."""

import re
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.core.text import one_line
from app.dashboard.parts import ROOT, DashboardParts
from app.dashboard.remedies import in_words, meaning, pasted
from app.dashboard.rendering import render, span, view_of
from app.db import alerts, operator_queries
from app.db.operator_queries import Queue
from app.db.views import figures
from app.db.views.figures import Balance
from app.domain.alert import REMEDY, Alert, Condition
from app.domain.language import Language
from app.domain.search import Search, spell_search
from app.telegram.catalogs import Catalogs

router = APIRouter()
SHOWN = 20  # rows of each queue that wait for somebody
PLACES = {Queue.DELIVERIES: "deliveries", Queue.NOTIFICATIONS: "messages"}
LINKS = {
    Condition.DELIVERIES_BURIED: ("deliveries?q=state:dead",),
    Condition.DATABASE_BACKLOG: ("deliveries?q=state:pending",),
    Condition.ORPHANS_WAITING: ("deliveries?q=state:pending reason:orphan",),
    Condition.NOTIFICATIONS_BURIED: ("messages?q=state:dead",),
    Condition.NOTIFICATIONS_LATE: ("messages?q=state:pending",),
    Condition.TELEGRAM_REFUSED: ("messages?q=state:pending reason:token_refused",),
    Condition.JOBS_OVERDUE: ("jobs?q=state:pending", "jobs?q=state:dead"),
    Condition.RESULTS_GONE: ("jobs?q=outcome:gone",),
    Condition.ARTIFACT_ABSENT: ("jobs?q=artifact:absent",),
    Condition.ACCOUNT_LOCKED: ("jobs?q=reason:account_locked", "messages?q=reason:awaits_account"),
    Condition.FAL_KEY_REFUSED: ("jobs?q=reason:fal_key_refused", "deliveries?q=reason:fal_key_refused"),
    Condition.FAL_KEY_MISSING: ("jobs?q=reason:no_fal_key", "deliveries?q=reason:no_fal_key"),
    Condition.DRIFT: ("history?kind=drifted",),
    Condition.POLLER_SEEN: ("history?kind=drifted", "doctor"),
    Condition.FAILURES_JUMPED: ("errors", "jobs?q=outcome:failed"),
    Condition.FOREIGN_ACCOUNT: ("errors#refused",),
    Condition.CERTIFICATE_EXPIRING: ("certificate",),
    Condition.CERTIFICATE_EXPIRED: ("certificate",),
    Condition.CERTIFICATE_REFUSED: ("certificate",),
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
    language = view_of(request).language
    words = Catalogs("ru").of(language)
    shown = [_shown(alert, words.gettext, language) for alert in opened]
    for queue, rows in dead.items():
        for row in rows:
            row["meaning"] = meaning(language, row["reason"])
            alike = spell_search(Search(state="dead", reason=row["reason"]))
            row["alike"] = f"{ROOT}/{PLACES[queue]}?{urlencode({'q': alike})}"
    verdict = "act" if shown or any(dead.values()) else "well"
    balance = _balance(await read(figures.balance, now), totals, now)
    figured = [(name, value, _address(link)) for name, value, link in balance]
    return render(request, "now.html", "page.now", page="", verdict=verdict, balance=figured, alerts=shown, dead=dead)


def _balance(found: Balance, totals: dict[str, Any], now: datetime) -> list[tuple[str, object, str]]:
    """List name, figure and the page that shows the rows."""
    oldest, last = found.oldest_waiting, totals["last_delivery"]
    day, dead = " after:24h", found.unresolved
    return [
        ("submitted", found.submitted, f"jobs?q={day[1:]}"),
        ("received", found.received, f"deliveries?q={day[1:]}"),
        ("applied", found.applied, f"deliveries?q=state:done{day}"),
        ("told", found.told, f"messages?q=state:sent{day}"),
        ("recovered", found.recovered, "history?kind=recovered"),
        ("mended", found.mended, "history?kind=drifted"),
        ("waiting", totals["deliveries"]["pending"], "deliveries?q=state:pending"),
        ("oldest", span(None if oldest is None else now - oldest), "deliveries?q=state:pending"),
        ("untold", totals["notifications"]["pending"], "messages?q=state:pending"),
        ("orphans", totals["orphans"], "deliveries?q=state:pending reason:orphan"),
        ("dead", dead["deliveries"], "deliveries?q=state:dead"),
        ("dead_messages", dead["notifications"], "messages?q=state:dead"),
        ("dead_jobs", dead["jobs"], "jobs?q=state:dead"),
        ("open_jobs", sum(totals["open_jobs"].values()), "jobs?q=state:pending"),
        ("overdue", dead["overdue"], "jobs?q=state:pending"),
        ("last", span(None if last is None else now - last), "deliveries"),
    ]


def _address(link: str) -> str:
    return f"{ROOT}/{quote(link, safe='/?=:#')}"


def _shown(alert: Alert, say: Any, language: Language) -> dict[str, Any]:
    """Word an alert as its message in Telegram is worded, with the page that shows what it is about."""
    condition = alert.condition
    return {
        "alert": alert,
        "title": say(f"alert.{condition}.title"),
        "text": say(f"alert.{condition}.text").format(detail=one_line(in_words(language, alert.detail))),
        "command": pasted(REMEDY[condition]),
        "links": [(re.split(r"\W", link, maxsplit=1)[0], _address(link)) for link in LINKS.get(condition, ("doctor",))],
    }
