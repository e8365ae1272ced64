"""The fal twin: JWKS, address list and queue, as far as our server asks for them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.twins import bodies, jwks
from app.twins.faults import Fault, Hang, Instead, Slow, Twin, json_response
from app.twins.signing import FalKey

_SENDERS: Final = """
34.123.59.101 34.135.41.243 35.239.83.87 104.198.204.37 34.56.20.205
34.170.94.127 35.224.184.236 136.114.56.197 34.29.37.237 35.225.160.28
34.56.205.145 34.59.170.72 34.10.147.45 104.198.64.245 34.9.1.255
"""
WEBHOOK_RANGES: Final = [f"{address}/32" for address in _SENDERS.split()]  # fal's documented sample, docs/fal.md
MOVED_JWKS: Final = "/moved/jwks.json"
THREE_SEGMENT_OWNERS: Final = ("workflows", "comfy")
SLOW_SECONDS: Final = 5.0
JWKS_FAULTS: Final[dict[str, Fault | None]] = {
    "ok": None,
    "down": Instead(500, b'{"error": {"type": "internal_error", "message": "down"}}'),
    "slow": Slow(SLOW_SECONDS),
    "hang": Hang(),
    "redirect": Instead(302, headers={"location": MOVED_JWKS}),
}
JWKS_MODES: Final = (*JWKS_FAULTS, *jwks.POISONS)


@dataclass(slots=True)
class FalJob:
    """What the queue knows of one request.

    `status_code` and `body` are the model's own answer, replayed by the result route once COMPLETED; fal has no state
    for failed or cancelled requests (docs/fal.md). `fault` hits both routes of this job.
    """

    state: Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"] = "COMPLETED"
    status_code: int = 200
    body: bytes = b"{}"
    error: str | None = None
    error_type: str | None = None
    fault: Fault | None = None


class FalTwin(Twin):
    """A local fal. `keys` sign and are published (two fresh ones by default, as fal keeps two).

    `api_key`, when given, is what the queue demands in `Authorization: Key …`. A `clock` of its own shows a skew.
    To be changed at any time: `keys`, `jwks_body`, the faults, and `jobs` (request id → FalJob).
    """

    def __init__(
        self,
        keys: list[FalKey] | None = None,
        *,
        api_key: str | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Start healthy and with an empty queue."""
        self.keys = keys or [FalKey.generate(), FalKey.generate()]
        self.jwks_body: bytes | None = None  # None: the set of `keys`
        self.jwks_fault: Fault | None = None
        self.meta_fault: Fault | None = None
        self.queue_fault: Fault | None = None
        self.jobs: dict[str, FalJob] = {}
        self._api_key = api_key
        routes = [
            Route("/.well-known/jwks.json", self._jwks),
            Route(MOVED_JWKS, self._jwks),
            Route("/v1/meta", self._meta),
            Route("/{app:path}/requests/{request_id}/status", self._queue),
            Route("/{app:path}/requests/{request_id}", self._queue),
        ]
        super().__init__(routes, clock, sleep)

    @property
    def key(self) -> FalKey:
        """The key that signs: the first."""
        return self.keys[0]

    @property
    def jwks_fetches(self) -> int:
        """How often the JWKS was asked for (a followed redirect counts twice)."""
        return sum(call.name in {"jwks", "moved_jwks"} for call in self.calls)

    def set_jwks(self, mode: str) -> None:
        """Switch the JWKS to one of JWKS_MODES: healthy, failing, or poisoned with the present keys.

        Raises KeyError for another mode.
        """
        self.jwks_body = None if mode in JWKS_FAULTS else jwks.poisoned(mode, self.keys)
        self.jwks_fault = JWKS_FAULTS.get(mode)

    def rotate(self) -> FalKey:
        """Put a fresh key in front and drop the oldest; return the fresh one."""
        self.keys = [FalKey.generate(), *self.keys[:-1]]
        return self.key

    def succeed(self, request_id: str) -> None:
        """Let the queue hold a finished request with a portrait's output."""
        self.jobs[request_id] = FalJob(body=bodies.dumps(bodies.portrait(request_id)))

    async def _jwks(self, request: Request) -> Response:
        moved = request.url.path == MOVED_JWKS
        call = self._note("moved_jwks" if moved else "jwks", path=request.url.path)
        fault = None if moved else self.jwks_fault
        return await self._answer(call, fault, lambda: json_response(200, self.jwks_body or jwks.document(self.keys)))

    async def _meta(self, request: Request) -> Response:
        call = self._note("meta", path=request.url.path)
        body = bodies.dumps({"webhook_ip_ranges": WEBHOOK_RANGES})
        return await self._answer(call, self.meta_fault, lambda: json_response(200, body))

    async def _queue(self, request: Request) -> Response:
        request_id, path = request.path_params["request_id"], request.url.path
        job = self.jobs.get(request_id)
        asks_status = path.endswith(f"{request_id}/status")

        def right() -> Response:
            if self._api_key is not None and request.headers.get("authorization") != f"Key {self._api_key}":
                return json_response(401, b'{"detail": "Cannot access application"}')
            if job is None or not _names_an_app(request.path_params["app"]):
                return json_response(404, b'{"detail": "Request not found"}')
            return _status(request, job) if asks_status else _result(job)

        fault = self.queue_fault or (job.fault if job else None)
        call = self._note("status" if asks_status else "result", path=path, request_id=request_id)
        return await self._answer(call, fault, right)


def _status(request: Request, job: FalJob) -> Response:
    url = str(request.url.replace(query="")).removesuffix("/status")
    fields: dict[str, Any] = {
        "status": job.state,
        "request_id": request.path_params["request_id"],
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
        "logs": [] if request.query_params.get("logs") == "1" else None,
    }
    if job.state == "IN_QUEUE":
        fields["queue_position"] = 0
    if job.state == "COMPLETED":
        fields["metrics"] = {"inference_time": 7.58}
        errors = {"error": job.error, "error_type": job.error_type}
        fields |= {name: value for name, value in errors.items() if value is not None}
    return json_response(200 if job.state == "COMPLETED" else 202, bodies.dumps(fields))


def _result(job: FalJob) -> Response:
    if job.state != "COMPLETED":
        return json_response(202, b'{"detail": "Request is still in progress"}')  # the status is undocumented
    return json_response(job.status_code, job.body)


def _names_an_app(path: str) -> bool:
    # Status and result drop a model's subpath; asking with it is the mistake a client makes first.
    segments = path.split("/")
    return len(segments) == (3 if segments[0] in THREE_SEGMENT_OWNERS else 2)
