"""fal, played: its queue, its list of requests, its keys and addresses, its CDN, as docs/fal.md has them."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.datastructures import QueryParams
from starlette.responses import Response
from yarl import URL

from app.twins import fal_queue, jwks
from app.twins.fal_queue import FalJob
from app.twins.signing import FalKey

API_KEY = "fal-key-of-the-simulation"
ADDRESSES = ("34.123.59.101", "34.135.41.243", "35.239.83.87")
CANCELLED = 499


@dataclass
class Shelf:
    """A file of the CDN: from when on it is there (never: infinity), and whether it is empty."""

    there_from: float
    is_empty: bool = False


@dataclass
class Fal:
    """What fal knows; `time` is in Unix seconds."""

    time: Callable[[], float]
    seed: object
    jobs: dict[str, FalJob] = field(default_factory=dict)
    shelves: dict[str, Shelf] = field(default_factory=dict)
    keys: list[FalKey] = field(default_factory=list)
    made_keys: int = 0
    missed: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)  # requests that the list was asked about
    unit: str = "1000 steps"  # that a trainer is paid by
    on_submit: Callable[[str, dict[str, Any], str], str] = lambda *_: ""  # endpoint, arguments, webhook → request id
    on_cancel: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        self.rotate()
        self.rotate()

    def rotate(self) -> None:
        """Publish a new key in the place of the older of two; what is signed from now on is signed with it."""
        self.made_keys += 1
        seed = hashlib.sha256(f"{self.seed}:key:{self.made_keys}".encode()).digest()
        self.keys = [*self.keys[-1:], FalKey(seed)]

    def forget(self, request_id: str) -> None:
        """Lose a request, or what it gave, before its time."""
        job = self.jobs.get(request_id)
        if job is not None:
            job.forgotten_at = min(self.time(), job.forgotten_at or self.time())

    def miss(self, request_id: str) -> None:
        """Have it said of a request that it is unknown: once for a moment, twice for good."""
        if request_id in self.missed:
            self.forget(request_id)
        self.missed.add(request_id)

    def queue(self, method: str, url: URL, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer for the queue."""
        if headers.get("Authorization") != f"Key {API_KEY}":
            return Response(b'{"detail": "invalid key credentials"}', 401)
        app, _, rest = url.path.strip("/").partition("/requests/")
        request_id, _, what = rest.partition("/")
        now = self.time()
        if method == "POST":
            return self._submit(app, url, body)
        job = self.jobs.get(request_id)
        if job is not None and not job.is_known(app, now):
            job = None
        address = f"https://queue.fal.run/{app}/requests/{request_id}"
        if what == "cancel":
            answer = fal_queue.cancel(job, now)
            if job is not None and job.status_code == CANCELLED:
                self.on_cancel(request_id)
            return answer
        if what == "status":
            return fal_queue.status(job, request_id, address, now, logs=url.query.get("logs") == "1")
        return fal_queue.result(job, request_id, address, now)

    def _submit(self, endpoint: str, url: URL, body: bytes) -> Response:
        request_id = self.on_submit(endpoint, orjson.loads(body), url.query.get("fal_webhook", ""))
        address = f"https://queue.fal.run/{fal_queue.app_of(endpoint)}/requests/{request_id}"
        fields = {
            "status": "IN_QUEUE",
            "request_id": request_id,
            "queue_position": 0,
            "response_url": address,
            "status_url": f"{address}/status",
            "cancel_url": f"{address}/cancel",
        }
        return Response(orjson.dumps(fields), 200)

    def platform(self, _method: str, url: URL, _headers: Mapping[str, str], _body: bytes) -> Response:
        """Answer for the list of requests."""
        if url.path.endswith("/pricing"):
            prices = [
                {"endpoint_id": one, "unit_price": 2.0, "unit": self.unit, "currency": "USD"}
                for one in url.query.getall("endpoint_id", [])
            ]
            return Response(orjson.dumps({"prices": prices, "next_cursor": None, "has_more": False}), 200)
        wanted = url.query.get("request_id")
        known = self.jobs
        if wanted is not None:
            known = {wanted: self.jobs[wanted]} if wanted in self.jobs and not self._lags(wanted) else {}
        return fal_queue.listed(known, QueryParams(url.query_string), self.time())

    def _lags(self, request_id: str) -> bool:
        """Tell whether the list does not show a request yet: the first time that it is asked after a miss."""
        is_first = request_id in self.missed and request_id not in self.listed
        self.listed.add(request_id)
        return is_first

    def published_keys(self, *_request: object) -> Response:
        """Answer with the key set."""
        return Response(jwks.document(self.keys), 200)

    def storage(self, _method: str, _url: URL, headers: Mapping[str, str], body: bytes) -> Response:
        """Give an address to upload to, which nobody here uses."""
        if headers.get("Authorization") != f"Key {API_KEY}":
            return Response(b'{"detail": "invalid key credentials"}', 401)
        url = f"https://v3.fal.media/files/{orjson.loads(body)['file_name']}"
        return Response(orjson.dumps({"upload_url": f"{url}?permission=once", "file_url": url}), 200)

    def meta(self, *_request: object) -> Response:
        """Answer with the addresses that deliveries come from."""
        return Response(orjson.dumps({"webhook_ip_ranges": [f"{one}/32" for one in ADDRESSES]}), 200)

    def cdn(self, method: str, url: URL, _headers: Mapping[str, str], _body: bytes) -> Response:
        """Answer for a file."""
        shelf = self.shelves.get(str(url))
        if shelf is None or self.time() < shelf.there_from:
            return Response(b"", 404)
        length = 0 if shelf.is_empty else 89_745_224
        return Response(b"" if method == "HEAD" else b"x"[: length or 0], 200, {"Content-Length": str(length)})
