"""What every request under /dashboard passes: where it came from, whose session it has, which headers it gets back.

State-changing requests are told apart from forged ones by Fetch Metadata (https://www.w3.org/TR/fetch-metadata/), which
every browser since 2023 sends over HTTPS and on loopback: no token has to travel in forms.
"""

import hashlib
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.dashboard.parts import ROOT, DashboardParts
from app.db import operator_access
from app.domain.errors import DatabaseUnavailable
from app.routers.problems import problem

COOKIE = "__Host-aisha-session"
LOGIN = f"{ROOT}/login"
LIVE = f"{ROOT}/live"
OPEN = (LOGIN, f"{ROOT}/static/")
SAFE = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"vary", b"Cookie, Origin, Sec-Fetch-Site"),
)


@dataclass(frozen=True, slots=True)
class Operator:
    """Who asks. `session` is the sha256 of what the cookie holds."""

    who: str
    session: str


def digest(value: str) -> str:
    """Return the sha256 in hex."""
    return hashlib.sha256(value.encode()).hexdigest()


def proofs(parts: DashboardParts) -> tuple[str, ...]:
    """Return with what a session may have been opened: a link, or the token of now; another token's are over."""
    token = parts.settings.dashboard_token
    return ("",) if token is None else ("", digest(f"dashboard {token.get_secret_value()}"))


def cookie(headers: Headers, name: str) -> str | None:
    """Return a cookie's value, None where there is none that can be read."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return None if found is None else found.value


def comes_from_us(scope: Scope, headers: Headers) -> bool:
    """Tell whether our own page sent the request, or a program: one that sends neither header and no cookie of ours."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site == "same-origin"
    if origin is not None:
        return origin == f"{scope['scheme']}://{headers.get('host', '')}"
    return cookie(headers, COOKIE) is None


class SessionGuard:
    """Lets in who has a session; the rest sees the login page and the files that it is made of."""

    def __init__(self, app: ASGIApp, parts: DashboardParts) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                added = [header for header in HEADERS if header[0] not in own]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        refusal = await self._refusal(scope)
        await (self._app if refusal is None else refusal)(scope, receive, sending)

    async def _refusal(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        if scope["method"] not in SAFE and not comes_from_us(scope, headers):
            return problem(403, "cross_site", "the request was not sent by a page of this server")
        try:
            operator = await self._operator(headers)
        except DatabaseUnavailable as error:
            return problem(503, error.code, "the database does not answer", {"Retry-After": str(error.retry_after)})
        scope.setdefault("state", {})["operator"] = operator
        if operator is not None or path == LOGIN or path.startswith(OPEN[1]):
            return None
        if path == LIVE:
            return Response(status_code=204)  # by which a browser's EventSource stops asking
        if scope["method"] in SAFE and "hx-request" not in headers:
            return RedirectResponse(LOGIN, 303)
        return problem(401, "session_required", "log in first", {"HX-Redirect": LOGIN})

    async def _operator(self, headers: Headers) -> Operator | None:
        value = cookie(headers, COOKIE)
        if not value:
            return None
        parts, session = self._parts, digest(value)
        find = operator_access.find_session
        who = await parts.database.read(find, session, proofs(parts), parts.clock.now())
        return None if who is None else Operator(who, session)
