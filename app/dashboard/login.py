"""Logging in by a password or by a link that works once, and logging out."""

import secrets
from datetime import timedelta

import structlog
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from app.dashboard.forms import read_form
from app.dashboard.guard import COOKIE, LOGIN, Operator, cookie, digest, proofs
from app.dashboard.parts import ROOT, DashboardParts
from app.dashboard.rendering import render
from app.db import operator_access
from app.db.engine import Connection
from app.domain.quotas import Ledger

log = structlog.get_logger(__name__)

router = APIRouter()
LASTS = timedelta(hours=12)
NAME_LIMIT = 40  # characters of the name that an operator gives


@router.get(LOGIN)
async def login_page(request: Request) -> Response:
    """Show the form; with a link only the button that spends it, so that what looks ahead at links does not."""
    link = request.query_params.get("link", "")
    return _page(request, link=link)


@router.post(LOGIN)
async def login(request: Request) -> Response:
    """Open a session for the right token or a fresh link. A link helps where the address is locked out."""
    parts: DashboardParts = request.app.state.parts
    form, now = await read_form(request), parts.clock.now()
    address = request.client.host if request.client else None
    name = Ledger[int]().name(address)[:64]
    read, write = parts.database.read, parts.database.write
    link = digest(form["link"]) if "link" in form else None
    until = await read(operator_access.locked_until, name, now)
    if link is not None and await read(operator_access.is_link, link, now):
        who, proof = await write(operator_access.spend_link, link, now), ""
    elif until is not None:
        wait = max(1, int((until - now).total_seconds()))
        return _page(request, status=429, wrong="login.locked", wait=wait)
    else:
        who, proof = _by_token(parts, form), proofs(parts)[-1]
    if who is None:
        failures = await write(operator_access.add_failure, name, now)
        log.warning("dashboard.login_refused", address=address, failures=failures)
        wrong = "login.link_wrong" if "link" in form else "login.token_wrong"
        return _page(request, status=401, wrong=wrong)
    value = secrets.token_urlsafe(32)
    old = cookie(request.headers, COOKIE)

    def opening(connection: Connection) -> None:
        operator_access.forget_failures(connection, name)
        operator_access.open_session(
            connection,
            digest(value),
            who,
            proof,
            now=now,
            ends_at=now + LASTS,
            old=None if old is None else digest(old),
        )

    await parts.database.write(opening)
    log.info("dashboard.opened", who=who, address=address)
    answer = RedirectResponse(ROOT, 303)
    _set(answer, value, int(LASTS.total_seconds()))
    return answer


@router.post(f"{ROOT}/logout")
async def logout(request: Request) -> Response:
    """End the session, on every replica."""
    parts: DashboardParts = request.app.state.parts
    operator: Operator = request.state.operator
    await parts.database.write(operator_access.end_session, operator.session)
    log.info("dashboard.closed", who=operator.who)
    answer = RedirectResponse(LOGIN, 303)
    _set(answer, "", 0)
    return answer


def _by_token(parts: DashboardParts, form: dict[str, str]) -> str | None:
    token = parts.settings.dashboard_token
    right = token is not None and secrets.compare_digest(
        form.get("token", "").strip().encode(), token.get_secret_value().encode()
    )
    if not right:
        return None
    return "".join(c for c in form.get("name", "").strip() if c.isprintable())[:NAME_LIMIT] or "dashboard"


def _set(answer: Response, value: str, seconds: int) -> None:
    answer.set_cookie(COOKIE, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="strict")


def _page(request: Request, status: int = 200, *, link: str = "", wrong: str = "", wait: int = 0) -> Response:
    parts: DashboardParts = request.app.state.parts
    has_token = parts.settings.dashboard_token is not None
    answer = render(
        request, "login.html", "login.title", status=status, link=link, wrong=wrong, wait=wait, has_token=has_token
    )
    if wait:
        answer.headers["Retry-After"] = str(wait)
    return answer
