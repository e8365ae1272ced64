"""fal's trace: kept with a delivery that carries one, and told again."""

import json
import time

import pytest
from structlog.testing import capture_logs

from app.twins import bodies
from app.twins.signing import ACCOUNT, sign
from tests.routers.conftest import Served

pytestmark = pytest.mark.anyio

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def deliver(served: Served, request_id: str, *more: tuple[str, str]) -> None:
    body = bodies.success(request_id)
    signed = sign(served.key, request_id, ACCOUNT, int(time.time()), body)
    headers = [("Content-Type", "application/json"), *signed.items(), *more]
    answer = await served.http.post("/api/v1/avatar/status_update", content=body, headers=headers)
    assert answer.status_code == 200


async def kept(served: Served) -> str | None:
    [row] = await served.rows()
    headers: dict[str, str] = json.loads(row["headers"])
    return headers.get("traceparent")


@pytest.mark.parametrize("odd", [(), (("X-Odd", "1"), ("X-Odd", "2"))], ids=["the short way", "the full way"])
async def test_the_trace_is_kept_with_the_signed_headers(served: Served, odd: tuple[tuple[str, str], ...]) -> None:
    """Whichever way a delivery takes in, its traceparent stands beside what is signed."""
    await deliver(served, "r1", ("traceparent", TRACE), *odd)
    assert await kept(served) == TRACE


@pytest.mark.parametrize("value", ["", "00-xyz", TRACE.upper(), f"{TRACE}-more", "00-" + "0" * 32 + TRACE[35:]])
async def test_what_is_no_trace_is_not_kept(served: Served, value: str) -> None:
    """The header is not signed, so only what has the standard's form is stored."""
    await deliver(served, "r1", ("traceparent", value))
    assert await kept(served) is None


async def test_two_traces_are_none(served: Served) -> None:
    """A doubled header says nothing; the delivery is taken all the same."""
    await deliver(served, "r1", ("traceparent", TRACE), ("traceparent", TRACE))
    assert await kept(served) is None


async def test_a_repeat_is_logged_with_its_trace(served: Served) -> None:
    """What is stored stays the first delivery's; the trace of the repeat stands in the log."""
    await deliver(served, "r1")
    with capture_logs() as logs:
        await deliver(served, "r1", ("traceparent", TRACE))
    [repeated] = [event for event in logs if event["event"] == "delivery.repeated"]
    assert (repeated["traceparent"], await kept(served)) == (TRACE, None)
