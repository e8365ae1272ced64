"""Where trainings are submitted to the twin, photos stored and prices asked for (docs/fal.md)."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.twins import bodies, fal_queue
from app.twins.fal_queue import FalJob
from app.twins.faults import Fault, Twin, json_response

STORED: Final = "/stored/{name:path}"
LIFECYCLES: Final = ("x-fal-object-lifecycle", "x-fal-object-lifecycle-preference")
NOT_JSON: Final = b'{"detail": [{"loc": ["body"], "msg": "JSON decode error", "type": "json_invalid"}]}'


@dataclass(frozen=True, slots=True)
class TwinSubmission:
    """One training that the twin has taken."""

    request_id: str
    endpoint: str
    arguments: dict[str, Any]
    webhook: str | None
    headers: dict[str, str]


class FalDeskTwin(Twin):
    """The desk of the fal twin.

    To be changed at any time: the faults, `prices` (endpoint → dollars and unit), `waits` and `works` (s) of what is
    submitted, `tells_state` (the answer may say IN_PROGRESS already). `submissions` is what was taken, `files` what was
    stored, by path, with the headers of its upload.
    """

    jobs: dict[str, FalJob]

    def open_desk(self) -> list[Route]:
        """Start empty and healthy; return the routes."""
        self.submit_fault: Fault | None = None
        self.storage_fault: Fault | None = None
        self.stored_fault: Fault | None = None
        self.price_fault: Fault | None = None
        self.prices: dict[str, tuple[float, str]] = {}
        self.submissions: list[TwinSubmission] = []
        self.files: dict[str, bytes] = {}
        self.lifecycles: list[list[Any]] = []  # of each upload, in both headers
        self.put_headers: list[dict[str, str]] = []
        self.waits, self.works = 0.0, 60.0
        self.tells_state = False
        return [
            Route("/v1/models/pricing", self._pricing),
            Route("/storage/upload/initiate", self._initiate, methods=["POST"]),
            Route(STORED, self._store, methods=["PUT"]),
            Route("/{app:path}", self._submit, methods=["POST"]),
        ]

    def refusal(self, request: Request, *, is_open: bool) -> tuple[int, str] | None:
        """Say what is wrong with the caller; `is_open`: for a question that is answered without a key."""
        raise NotImplementedError

    async def _submit(self, request: Request) -> Response:
        endpoint, body = request.path_params["app"].strip("/"), await request.body()
        call = self._note("submit", path=request.url.path)

        def right() -> Response:
            if (refusal := self.refusal(request, is_open=False)) is not None:
                return json_response(refusal[0], bodies.dumps({"detail": refusal[1]}))
            try:
                arguments = orjson.loads(body)
            except orjson.JSONDecodeError:
                return json_response(422, NOT_JSON)
            if not isinstance(arguments, dict):
                return json_response(422, NOT_JSON)
            request_id = bodies.job_id(len(self.submissions) + 1)
            call.request_id = request_id
            taken = TwinSubmission(
                request_id, endpoint, arguments, request.query_params.get("fal_webhook"), dict(request.headers)
            )
            self.submissions.append(taken)
            now = self._clock()
            job = self.jobs[request_id] = FalJob("IN_QUEUE", endpoint=endpoint, sent_at=now, given=arguments)
            job.starts_at, job.ends_at = now + self.waits, now + self.waits + self.works
            job.body = bodies.dumps(bodies.portrait(request_id))
            base = f"{request.url.scheme}://{request.url.netloc}/{fal_queue.app_of(endpoint)}"
            url = f"{base}/requests/{request_id}"
            fields = {
                "status": job.at(now) if self.tells_state else "IN_QUEUE",
                "request_id": request_id,
                "gateway_request_id": request_id,
                "queue_position": 0,
                "response_url": url,
                "status_url": f"{url}/status",
                "cancel_url": f"{url}/cancel",
                "logs": None,
                "metrics": {},
            }
            return json_response(200, bodies.dumps(fields))

        return await self._answer(call, self.submit_fault, right)

    async def _initiate(self, request: Request) -> Response:
        call, wanted = self._note("initiate", path=request.url.path), await request.json()

        def right() -> Response:
            if (refusal := self.refusal(request, is_open=False)) is not None:
                return json_response(refusal[0], bodies.dumps({"detail": refusal[1]}))
            expiries = [request.headers.get(name) for name in LIFECYCLES]
            self.lifecycles.append([None if text is None else orjson.loads(text) for text in expiries])
            name = hashlib.sha256(f"{len(self.lifecycles)} {wanted['file_name']}".encode()).hexdigest()[:16]
            path = f"{name}_{wanted['file_name']}"
            place = f"{request.url.scheme}://{request.url.netloc}/stored/{path}?permission=once"
            return json_response(
                200, bodies.dumps({"upload_url": place, "file_url": f"https://v3.fal.media/stored/{path}"})
            )

        return await self._answer(call, self.storage_fault, right)

    async def _store(self, request: Request) -> Response:
        call, content = self._note("store", path=request.url.path), await request.body()

        def right() -> Response:
            self.files[request.url.path] = content
            self.put_headers.append(dict(request.headers))
            return json_response(200, b"{}")

        return await self._answer(call, self.stored_fault, right)

    async def _pricing(self, request: Request) -> Response:
        call = self._note("pricing", path=request.url.path)

        def right() -> Response:
            prices = [
                {"endpoint_id": endpoint, "unit_price": dollars, "unit": unit, "currency": "USD"}
                for endpoint, (dollars, unit) in self.prices.items()
                if endpoint in request.query_params.getlist("endpoint_id")
            ]
            return json_response(200, bodies.dumps({"prices": prices, "next_cursor": None, "has_more": False}))

        return await self._answer(call, self.price_fault, right)
