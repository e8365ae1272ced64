"""The fal twin: JWKS, address list, queue and list of requests, as far as our server asks for them."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.twins import bodies, fal_queue, jwks
from app.twins.fal_desk import FalDeskTwin
from app.twins.fal_queue import FalJob
from app.twins.faults import Fault, Hang, Instead, Slow, json_response
from app.twins.signing import FalKey

_SENDERS: Final = """
34.123.59.101 34.135.41.243 35.239.83.87 104.198.204.37 34.56.20.205
34.170.94.127 35.224.184.236 136.114.56.197 34.29.37.237 35.225.160.28
34.56.205.145 34.59.170.72 34.10.147.45 104.198.64.245 34.9.1.255
"""
WEBHOOK_RANGES: Final = [f"{address}/32" for address in _SENDERS.split()]  # fal's documented sample, docs/fal.md
MOVED_JWKS: Final = "/moved/jwks.json"
SLOW_SECONDS: Final = 5.0
JWKS_FAULTS: Final[dict[str, Fault | None]] = {
    "ok": None,
    "down": Instead(500, b'{"error": {"type": "internal_error", "message": "down"}}'),
    "slow": Slow(SLOW_SECONDS),
    "hang": Hang(),
    "redirect": Instead(302, headers={"location": MOVED_JWKS}),
}
JWKS_MODES: Final = (*JWKS_FAULTS, *jwks.POISONS)


class FalTwin(FalDeskTwin):
    """A local fal. `keys` sign and are published (two fresh ones by default, as fal keeps two).

    `api_key`, when given, is what the queue demands in `Authorization: Key …`. A `clock` of its own shows a skew.
    To be changed at any time: `keys`, `jwks_body`, the faults, `locked`, and `jobs` (request id → FalJob).
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
        self.list_fault: Fault | None = None
        self.locked: str | None = None  # why the account is, such as "Exhausted balance"
        self.jobs: dict[str, FalJob] = {}
        self._api_key = api_key
        routes = [
            Route("/.well-known/jwks.json", self._jwks),
            Route(MOVED_JWKS, self._jwks),
            Route("/v1/meta", self._meta),
            Route("/v1/models/requests/by-endpoint", self._listed),
            Route("/{app:path}/requests/{request_id}/status", self._queue),
            Route("/{app:path}/requests/{request_id}/cancel", self._queue, methods=["PUT"]),
            Route("/{app:path}/requests/{request_id}", self._queue),
            *self.open_desk(),
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

    def generate(self, request_id: str, count: int = 1, flagged: Collection[int] = ()) -> None:
        """Let the queue hold a finished request with images, some of them flagged by their index."""
        self.jobs[request_id] = FalJob(body=bodies.dumps(bodies.images(request_id, count, flagged)))

    async def _jwks(self, request: Request) -> Response:
        moved = request.url.path == MOVED_JWKS
        call = self._note("moved_jwks" if moved else "jwks", path=request.url.path)
        fault = None if moved else self.jwks_fault
        return await self._answer(call, fault, lambda: json_response(200, self.jwks_body or jwks.document(self.keys)))

    async def _meta(self, request: Request) -> Response:
        call = self._note("meta", path=request.url.path)
        body = bodies.dumps({"webhook_ip_ranges": WEBHOOK_RANGES})
        return await self._answer(call, self.meta_fault, lambda: json_response(200, body))

    def train(self, request_id: str, endpoint: str, *, waits: float = 0.0, works: float = 60.0) -> FalJob:
        """Let a request wait and be worked on, in seconds of the twin's clock, and end with a portrait's output."""
        now = self._clock()
        job = self.jobs[request_id] = FalJob("IN_QUEUE", endpoint=endpoint, sent_at=now)
        job.starts_at, job.ends_at = now + waits, now + waits + works
        job.body = bodies.dumps(bodies.portrait(request_id))
        return job

    def fail(self, request_id: str, kind: str = "face_detection_error") -> None:
        """Let a request end as a real one failed: COMPLETED without any error, and a result with 422."""
        job = self.jobs.setdefault(request_id, FalJob())
        job.state, job.ends_at, job.status_code = "COMPLETED", self._clock(), 422
        job.body = bodies.dumps(bodies.complaint(kind))

    def forget(self, request_id: str) -> None:
        """Let the queue know nothing of a request any more; the list does, until `is_listed` says otherwise."""
        self.jobs[request_id].forgotten_at = self._clock()

    def asked(self, request_id: str) -> Counter[str]:
        """Count the questions about a request: status, result, cancel, listed."""
        return Counter(call.name for call in self.calls if call.request_id == request_id)

    async def _queue(self, request: Request) -> Response:
        request_id, path = request.path_params["request_id"], request.url.path
        base, url = path.rpartition("/requests/")[0].strip("/"), str(request.url.replace(query=""))
        question = url.rpartition("/")[2] if url.endswith(("/status", "/cancel")) else "result"
        job = self.jobs.get(request_id)

        def right() -> Response:
            now = self._clock()
            known = job if job is not None and job.is_known(base, now) else None
            if (refusal := self.refusal(request, is_open=question == "status" and known is None)) is not None:
                return json_response(refusal[0], bodies.dumps({"detail": refusal[1]}))
            if base != fal_queue.app_of(base):  # the queue drops a model's sub-path; asking with it is a first mistake
                return json_response(405, b'{"detail": "Method Not Allowed"}')
            if tail := fal_queue.lost_tail(base, None if job is None else job.endpoint):
                return json_response(404, bodies.dumps({"detail": f"Path {tail} not found"}))
            match question:
                case "status":
                    logs = request.query_params.get("logs") == "1"
                    return fal_queue.status(known, request_id, url.removesuffix("/status"), now, logs=logs)
                case "cancel":
                    return fal_queue.cancel(known, now)
            return fal_queue.result(known, request_id, url, now)

        call = self._note(question, path=path, request_id=request_id)
        return await self._answer(call, self.queue_fault or (job.fault if job else None), right)

    async def _listed(self, request: Request) -> Response:
        call = self._note("listed", path=request.url.path, request_id=request.query_params.get("request_id"))

        def right() -> Response:
            if (refusal := self.refusal(request, is_open=False)) is not None:
                return fal_queue.refused(refusal[0], "authorization_error", refusal[1])
            return fal_queue.listed(self.jobs, request.query_params, self._clock())

        return await self._answer(call, self.list_fault, right)

    def refusal(self, request: Request, *, is_open: bool) -> tuple[int, str] | None:
        """Say what is wrong with the caller. `is_open`: for a question that is answered without a key."""
        given = request.headers.get("authorization")
        if self._api_key is not None and given != f"Key {self._api_key}" and not (is_open and given is None):
            return 401, "invalid key credentials"
        return None if self.locked is None else (403, f"User is locked. Reason: {self.locked}.")
