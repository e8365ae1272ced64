"""The fal twin: JWKS, address list and queue, as far as our server asks for them."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Final, Literal, get_args

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.twins import bodies, jwks
from app.twins.faults import Fault, Hang, Instead, Latch, Sleep, Slow, answer
from app.twins.serving import serve
from app.twins.signing import FalKey

WEBHOOK_RANGES: Final = (  # fal's documented sample, docs/fal.md
    "34.123.59.101/32",
    "34.135.41.243/32",
    "35.239.83.87/32",
    "104.198.204.37/32",
    "34.56.20.205/32",
    "34.170.94.127/32",
    "35.224.184.236/32",
    "136.114.56.197/32",
    "34.29.37.237/32",
    "35.225.160.28/32",
    "34.56.205.145/32",
    "34.59.170.72/32",
    "34.10.147.45/32",
    "104.198.64.245/32",
    "34.9.1.255/32",
)
MOVED_JWKS: Final = "/moved/jwks.json"
THREE_SEGMENT_OWNERS: Final = ("workflows", "comfy")
JWKS_MODES: Final = ("ok", "down", "slow", "hang", "redirect", *jwks.POISONS)
SLOW_SECONDS: Final = 5.0

CallName = Literal["jwks", "moved_jwks", "meta", "status", "result"]
JobState = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
JOB_STATES: Final[tuple[JobState, ...]] = get_args(JobState)


@dataclass(slots=True)
class FalJob:
    """What the queue knows of one request.

    `status_code` and `body` are the model's own answer, replayed by the result route once COMPLETED; fal has no state
    for failed or cancelled requests (docs/fal.md). `fault` hits both routes of this job.
    """

    state: JobState = "COMPLETED"
    status_code: int = 200
    body: bytes = b"{}"
    error: str | None = None
    error_type: str | None = None
    fault: Fault | None = None


@dataclass(slots=True)
class FalCall:
    """One request that reached the twin. `at` is in Unix seconds, `status` None until (unless) it is answered."""

    at: float
    name: CallName
    path: str
    request_id: str | None = None
    status: int | None = None


class FalTwin:
    """A local fal. `keys` sign and are published (two fresh ones by default, as fal keeps two).

    `api_key`, when given, is what the queue demands in `Authorization: Key …`. `clock` also sets the Date header of
    every answer, so a twin with another clock shows a skew.
    Public state, to be changed at any time: `keys`, `jwks_body`, `jwks_fault`, `meta_fault`, `queue_fault`, `ranges`,
    `jobs` (request id → FalJob), `running_status`; `calls` is the log.
    """

    def __init__(
        self,
        keys: list[FalKey] | None = None,
        *,
        api_key: str | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Start healthy and with an empty queue."""
        self.keys = keys or [FalKey.generate(), FalKey.generate()]
        self.jwks_body: bytes | None = None  # None: the set of `keys`
        self.jwks_fault: Fault | None = None
        self.meta_fault: Fault | None = None
        self.queue_fault: Fault | None = None
        self.ranges: list[str] = list(WEBHOOK_RANGES)
        self.jobs: dict[str, FalJob] = {}
        self.running_status = 202  # of a result asked for too early; undocumented, so a test may choose another
        self.calls: list[FalCall] = []
        self._api_key = api_key
        self._clock = clock
        self._sleep = sleep
        self._latch = Latch()
        self.routes: list[Route] = [
            Route("/.well-known/jwks.json", self._jwks),
            Route(MOVED_JWKS, self._jwks),
            Route("/v1/meta", self._meta),
            Route("/{app:path}/requests/{request_id}/status", self._status),
            Route("/{app:path}/requests/{request_id}", self._result),
        ]
        self.app = Starlette(routes=self.routes)

    @property
    def key(self) -> FalKey:
        """The key that signs: the first."""
        return self.keys[0]

    @property
    def jwks_fetches(self) -> int:
        """How often the JWKS was asked for (a followed redirect counts twice)."""
        return sum(call.name in {"jwks", "moved_jwks"} for call in self.calls)

    def serve(self, port: int = 0) -> AbstractAsyncContextManager[str]:
        """Serve on loopback; `async with twin.serve() as base_url`."""
        return serve(self.app, port=port, before_stop=self.release)

    def release(self) -> None:
        """Let every hung request end with 503."""
        self._latch.open()

    def set_jwks(self, mode: str) -> None:
        """Switch the JWKS to one of JWKS_MODES: healthy, failing, or poisoned with the present keys.

        Raises KeyError for another mode.
        """
        faults: dict[str, Fault | None] = {
            "ok": None,
            "down": Instead(500, b'{"error": {"type": "internal_error", "message": "down"}}'),
            "slow": Slow(SLOW_SECONDS),
            "hang": Hang(),
            "redirect": Instead(302, headers={"location": MOVED_JWKS}),
        }
        self.jwks_body = None if mode in faults else jwks.poisoned(mode, self.keys)
        self.jwks_fault = faults.get(mode)

    def rotate(self) -> FalKey:
        """Put a fresh key in front and drop the oldest; return the fresh one."""
        self.keys = [FalKey.generate(), *self.keys[:-1]]
        return self.key

    def succeed(self, request_id: str, payload: bodies.Payload | None = None) -> None:
        """Let the queue hold a finished request with this output (a portrait's by default)."""
        self.jobs[request_id] = FalJob(body=bodies.dumps(payload or bodies.portrait(request_id)))

    def fail(self, request_id: str, status_code: int = 422, detail: bodies.Payload | None = None) -> None:
        """Let the queue hold a failed request: COMPLETED with no `error`, as a real 422 was; only the result tells."""
        self.jobs[request_id] = FalJob(
            status_code=status_code, body=bodies.dumps(detail or bodies.validation_detail("face_detection_error"))
        )

    def start(self, request_id: str, state: JobState = "IN_PROGRESS") -> None:
        """Let the queue hold an unfinished request."""
        self.jobs[request_id] = FalJob(state)

    def forget(self, request_id: str) -> None:
        """Let the queue have lost the request: both routes answer 404, as for an unknown id."""
        self.jobs.pop(request_id, None)

    async def _jwks(self, request: Request) -> Response:
        moved = request.url.path == MOVED_JWKS
        call = self._log("moved_jwks" if moved else "jwks", request)
        fault = None if moved else self.jwks_fault
        return await self._answer(call, fault, lambda: _json(200, self.jwks_body or jwks.document(self.keys)))

    async def _meta(self, request: Request) -> Response:
        call = self._log("meta", request)
        body = bodies.dumps({"webhook_ip_ranges": self.ranges})
        return await self._answer(call, self.meta_fault, lambda: _json(200, body))

    async def _status(self, request: Request) -> Response:
        return await self._answer_job("status", request, self._status_of)

    async def _result(self, request: Request) -> Response:
        return await self._answer_job("result", request, self._result_of)

    async def _answer_job(
        self, name: CallName, request: Request, right: Callable[[Request, FalJob], Response]
    ) -> Response:
        job = self.jobs.get(request.path_params["request_id"])

        def unless_refused() -> Response:
            if self._api_key is not None and request.headers.get("authorization") != f"Key {self._api_key}":
                return _json(401, b'{"detail": "Cannot access application"}')
            if job is None or not _names_an_app(request.path_params["app"]):
                return _json(404, b'{"detail": "Request not found"}')
            return right(request, job)

        fault = self.queue_fault or (job.fault if job else None)
        return await self._answer(self._log(name, request), fault, unless_refused)

    def _status_of(self, request: Request, job: FalJob) -> Response:
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
        return _json(200 if job.state == "COMPLETED" else 202, bodies.dumps(fields))

    def _result_of(self, _: Request, job: FalJob) -> Response:
        if job.state != "COMPLETED":
            return _json(self.running_status, b'{"detail": "Request is still in progress"}')
        return _json(job.status_code, job.body)

    def _log(self, name: CallName, request: Request) -> FalCall:
        call = FalCall(self._clock(), name, request.url.path, request.path_params.get("request_id"))
        self.calls.append(call)
        return call

    async def _answer(self, call: FalCall, fault: Fault | None, right: Callable[[], Response]) -> Response:
        response = await answer(fault, right, self._latch, self._sleep)
        response.headers["date"] = formatdate(self._clock(), usegmt=True)
        call.status = response.status_code
        return response


def _names_an_app(path: str) -> bool:
    # Status and result drop a model's subpath; asking with it is the mistake a client makes first.
    segments = path.split("/")
    return len(segments) == (3 if segments[0] in THREE_SEGMENT_OWNERS else 2)


def _json(status: int, body: bytes) -> Response:
    return Response(body, status, media_type="application/json")
