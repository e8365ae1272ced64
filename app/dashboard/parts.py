"""What the operator's pages work with."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.bootstrap.services import Services
from app.core.config import Settings
from app.db.engine import Database
from app.db.trainings import BotTables
from app.domain.refusals import Refusal
from app.flows.kinds import Kind
from app.flows.ports import Clock

if TYPE_CHECKING:  # without TLS nothing of X.509 is loaded
    from app.tls.live import LiveContext

ROOT = "/dashboard"


@dataclass(frozen=True, slots=True)
class DashboardParts:
    """What the pages work with.

    `leaving` is set when the server stops: streams end then. `refusals` are what this process did not take lately.
    """

    settings: Settings
    database: Database
    bot_tables: BotTables
    kinds: tuple[Kind, ...]
    clock: Clock
    totals: Callable[[], Awaitable[dict[str, Any]]]
    tls: "LiveContext | None"
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: Callable[[], Sequence[Refusal]] = tuple

    @classmethod
    def of(
        cls,
        settings: Settings,
        services: Services,
        tls: "LiveContext | None",
        refusals: Callable[[], Sequence[Refusal]] = tuple,
    ) -> "DashboardParts":
        """Choose them among the services; `tls` is what the server is served with."""
        kinds, clock, totals = services.ingest.kinds, services.ingest.clock, services.health.totals
        return cls(
            settings, services.database, services.bot_tables, kinds, clock, totals, tls, asyncio.Event(), refusals
        )

    def also_leaving(self, stop: Callable[[], None]) -> Callable[[], None]:
        """Return what ends the streams as well as calling `stop`."""

        def both() -> None:
            self.leaving.set()
            stop()

        return both
