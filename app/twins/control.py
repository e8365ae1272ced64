"""Control endpoints of twins that run as a program of their own: `/_twin/…` on each twin's port."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.twins.fal import JOB_STATES, JWKS_MODES, FalJob, FalTwin
from app.twins.faults import Fault, Hang, Instead, Slow
from app.twins.telegram import TelegramTwin
from app.twins.telegram_faults import FAULTS

Order = dict[str, Any]
Name = TypeVar("Name", bound=str)


def fal_routes(twin: FalTwin) -> list[Route]:
    """Return the routes that steer a fal twin; each POST takes a JSON object, answers 204, or 400 with a reason.

    - POST /_twin/jwks `{"mode": one of JWKS_MODES}`; POST /_twin/rotate `{}`
    - POST /_twin/meta, /_twin/queue `{"fault": fault}`; a fault is null, "hang", `{"slow": s}` or `{"status": n}`
    - POST /_twin/job `{"request_id", "state"?, "status_code"?, "body"?: any JSON, "fault"?}`, or `{"request_id",
      "gone": true}`
    - GET /_twin/log → `{"calls": [call…], "jwks_fetches": n}`
    """

    def jwks(order: Order) -> None:
        twin.set_jwks(_one_of(JWKS_MODES, order.get("mode")))

    def rotate(_: Order) -> None:
        twin.rotate()

    def meta(order: Order) -> None:
        twin.meta_fault = _fault(order.get("fault"))

    def queue(order: Order) -> None:
        twin.queue_fault = _fault(order.get("fault"))

    def job(order: Order) -> None:
        if order.get("gone"):
            twin.forget(order["request_id"])
            return
        twin.jobs[order["request_id"]] = FalJob(
            _one_of(JOB_STATES, order.get("state", "COMPLETED")),
            int(order.get("status_code", 200)),
            orjson.dumps(order.get("body", {})),
            fault=_fault(order.get("fault")),
        )

    async def log(_: Request) -> Response:
        return _json(200, {"calls": twin.calls, "jwks_fetches": twin.jwks_fetches})

    return [
        _steering("jwks", jwks),
        _steering("rotate", rotate),
        _steering("meta", meta),
        _steering("queue", queue),
        _steering("job", job),
        Route("/_twin/log", log),
    ]


def telegram_routes(twin: TelegramTwin) -> list[Route]:
    """Return the routes that steer a Telegram twin; each POST takes a JSON object, answers 204, or 400 with a reason.

    - POST /_twin/fail `{"fault": a name of FAULTS, "with"?: its arguments, "chat_id"?, "standing"?, "times"?: 1}`
    - POST /_twin/mend `{}`
    - GET /_twin/log → `{"messages": [message…], "calls": [call…]}`
    """

    def fail(order: Order) -> None:
        fault = FAULTS[_one_of(tuple(FAULTS), order.get("fault"))](**order.get("with", {}))
        faults = [fault] * int(order.get("times", 1))
        twin.fail(*faults, chat_id=order.get("chat_id"), standing=bool(order.get("standing")))

    def mend(_: Order) -> None:
        twin.mend()

    async def log(_: Request) -> Response:
        return _json(200, {"messages": twin.messages, "calls": twin.calls})

    return [_steering("fail", fail), _steering("mend", mend), Route("/_twin/log", log)]


def _steering(name: str, obey: Callable[[Order], None]) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            obey(orjson.loads(await request.body() or b"{}"))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            return _json(400, {"detail": f"{type(error).__name__}: {error}"})
        return Response(status_code=204)

    return Route(f"/_twin/{name}", endpoint, methods=["POST"])


def _one_of(names: Sequence[Name], said: object) -> Name:
    for name in names:
        if name == said:
            return name
    raise ValueError(f"one of {', '.join(names)}, not {said!r}")


def _fault(said: Any) -> Fault | None:
    match said:
        case None:
            return None
        case "hang":
            return Hang()
        case {"slow": seconds}:
            return Slow(float(seconds))
        case {"status": status}:
            return Instead(int(status), b'{"detail": "the twin was told so"}')
        case _:
            raise ValueError(f"not a fault: {said!r}")


def _json(status: int, value: Any) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")
