"""Where the server hands requests to the operator's pages: all this module imports is small, the rest comes late."""

from starlette.types import ASGIApp, Receive, Scope, Send

from app.dashboard.parts import ROOT


class DashboardLane:
    """Answers what lies under /dashboard, passes on the rest; stands before CORS, which is not for these pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._pages: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to where it belongs."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path != ROOT and not path.startswith(f"{ROOT}/"):
            await self._app(scope, receive, send)
            return
        if self._pages is None:
            from app.dashboard.application import create_dashboard  # noqa: PLC0415  who asks for no page pays nothing

            self._pages = create_dashboard(scope["app"].state.dashboard)
        await self._pages(scope, receive, send)
