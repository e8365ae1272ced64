"""Waits for what flows have begun beside their callers, which the server never does: it closes them."""

import asyncio

from app.flows.artifacts import ArtifactLooks
from app.flows.notify.claiming import Notify
from app.flows.progress import Progress


async def ended(flow: ArtifactLooks | Notify | Progress) -> None:
    """Wait until nothing is under way in a flow."""
    while tasks := _tasks(flow):
        await asyncio.wait(tasks)


def _tasks(flow: ArtifactLooks | Notify | Progress) -> "list[asyncio.Task[None]]":
    if isinstance(flow, ArtifactLooks):
        return list(flow._groups)
    if isinstance(flow, Notify):
        return list(flow._under_way)
    return [] if flow._showing is None or flow._showing.done() else [flow._showing]
