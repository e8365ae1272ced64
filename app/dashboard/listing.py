"""Lists of rows: a search in words, figures beside it, and pages by keyset. Their addresses may be passed on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from app.bootstrap.asking import trainer_endpoints
from app.dashboard.parts import ROOT, DashboardParts
from app.dashboard.remedies import remedy_of_all
from app.dashboard.rendering import render, view_of
from app.dashboard.words import say
from app.db.operator_queries import CHANGEABLE, Queue
from app.db.views.open_jobs import jobs_page
from app.db.views.pages import Facets, Page, facets, page
from app.domain.errors import SearchRefused
from app.domain.search import EVERYTHING, QUEUES, Search, parse_search, spell_search, suggest

SIZE = 50  # rows of a page
NO_FACETS = Facets({}, {})


@dataclass(frozen=True, slots=True)
class Listing:
    """One list: its queue, its place among the pages, and the columns that it shows."""

    queue: Queue
    place: str
    columns: tuple[str, ...]

    @property
    def path(self) -> str:
        """Where it is."""
        return f"{ROOT}/{self.place}"

    def link(self, search: Search, **more: object) -> str:
        """Write the address of a search."""
        query = {key: value for key, value in {"q": spell_search(search), **more}.items() if value}
        return f"{self.path}?{urlencode(query)}" if query else self.path


DELIVERIES = Listing(
    Queue.DELIVERIES,
    "deliveries",
    ("state", "reason", "request_id", "avatar_name", "told", "attempt", "repeats", "received_at"),
)
MESSAGES = Listing(
    Queue.NOTIFICATIONS,
    "messages",
    ("state", "reason", "topic", "avatar_name", "cause", "attempt", "applied_at", "finished_at"),
)
JOBS = Listing(
    Queue.JOBS,
    "jobs",
    ("state", "stage", "position", "percent", "at_work_for", "usual", "late", "outcome", "request_id", "looked_at"),
)
LISTINGS = (DELIVERIES, MESSAGES, JOBS)


async def list_page(request: Request, listing: Listing) -> Response:
    """Answer one page of a list; a search that cannot be understood is told so, and how it may be meant."""
    parts: DashboardParts = request.app.state.parts
    text, language = request.query_params.get("q", ""), view_of(request).language
    found, sides, search, wrong, is_slow = Page([]), NO_FACETS, EVERYTHING, "", False
    try:
        search = parse_search(text, listing.queue.value, parts.clock.now())
        found = await _rows(request, listing, search)
    except SearchRefused as refused:
        wrong = say(language, f"search.{refused.sentence}", **refused.facts)
    else:
        try:
            sides = await parts.database.read(facets, listing.queue, search)
        except SearchRefused:
            is_slow = True
    older = listing.link(search, before=found.older) if found.older is not None else None
    newer = listing.link(search, after=found.newer) if found.newer is not None else None
    return render(
        request,
        "list.html",
        f"page.{listing.place}",
        status=400 if wrong else 200,
        page=listing.place,
        listing=listing,
        text=text,
        wrong=wrong,
        found=found,
        rows=[_shown(listing, row, parts) for row in found.rows],
        older=older,
        newer=newer,
        facets=[("state", *_links(listing, search, sides)), ("reason", *_links(listing, search, sides, "reason"))],
        is_slow=is_slow,
        suggestions=suggest(text, listing.queue.value),
        qualifiers=QUEUES[listing.queue.value].qualifiers,
        can_act=listing.queue in CHANGEABLE and not wrong,
        spelled=spell_search(search),
        found_remedy=remedy_of_all(language, listing.queue, search),
    )


async def _rows(request: Request, listing: Listing, search: Search) -> Page:
    parts: DashboardParts = request.app.state.parts
    at: dict[str, Any] = {name: _id(request.query_params.get(name)) for name in ("before", "after")}
    if listing.queue is not Queue.JOBS:
        return await parts.database.read(page, listing.queue, search, **at, limit=SIZE)
    trainer_of = trainer_endpoints(parts.settings).trainer_of
    read: Callable[..., Page] = partial(jobs_page, now=parts.clock.now(), trainer_of=trainer_of, **at)
    return await parts.database.read(read, search, limit=SIZE)


def _id(text: str | None) -> int | None:
    """Read the id that a cursor holds; a text that is no id means the newest page."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None  # noqa: PLR2004  a BIGINT


def _shown(listing: Listing, row: dict[str, Any], parts: DashboardParts) -> dict[str, Any]:
    """Add what the columns show beside the row's own values."""
    if listing.queue is Queue.NOTIFICATIONS:
        return {**row, "topic": row["kind"]}
    if listing.queue is Queue.JOBS:
        began, ended = row["at_work_since"], row["finished_at"] or parts.clock.now()
        return {**row, "at_work_for": None if began is None else ended - began, "late": row["is_late"]}
    return row


def _links(
    listing: Listing, search: Search, sides: Facets, name: str = "state"
) -> tuple[str, list[tuple[str, str, str, bool]]]:
    """List value, amount, address and whether it is chosen; first the address without any."""
    amounts = sides.states if name == "state" else sides.reasons
    chosen = getattr(search, name)
    rows = [
        (value, str(amount), listing.link(_narrowed(search, name, value)), value == chosen)
        for value, amount in amounts.items()
        if amount.rows or amount.is_more or value == chosen
    ]
    return listing.link(search.without(name)), rows


def _narrowed(search: Search, name: str, value: str) -> Search:
    return replace(search, state=value) if name == "state" else replace(search, reason=value)
