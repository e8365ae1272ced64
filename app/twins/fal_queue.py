"""What fal knows of requests, as its queue and its list of requests tell it (docs/fal.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson
from starlette.datastructures import QueryParams
from starlette.responses import Response

from app.twins import bodies
from app.twins.faults import Fault, Instead, json_response

State = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]

THREE_SEGMENT_OWNERS: Final = ("workflows", "comfy")
UNFINISHED: Final = "Request is still in progress"
RATE_LIMITED: Final = Instead(429, b'{"error": {"type": "rate_limited", "message": "Too many requests"}}')
PAGE: Final = 50
DAY: Final = 86_400.0  # s


@dataclass(slots=True)
class FalJob:
    """What fal knows of one request.

    `status_code` and `body` are the model's own answer, replayed by the result route once COMPLETED; fal has no state
    for failed or cancelled requests (docs/fal.md). `fault` hits every route of this job. Times are the twin's clock, in
    Unix seconds: from `starts_at` on the job is at work, from `ends_at` on it is over, whatever `state` says, and from
    `forgotten_at` on the queue does not know it. `endpoint` None answers at any app.
    """

    state: State = "COMPLETED"
    status_code: int = 200
    body: bytes = b"{}"
    error: str | None = None
    error_type: str | None = None
    fault: Fault | None = None
    endpoint: str | None = None
    position: int = 0
    sent_at: float | None = None
    starts_at: float | None = None
    ends_at: float | None = None
    forgotten_at: float | None = None
    refuses_cancel_with: str | None = None  # `detail` without a status, as a finished job may answer
    ignores_cancel: bool = False  # as a request may that is at work
    is_listed: bool = True
    keeps_output: bool = True  # in the list; fal need not
    logs: tuple[str, ...] = ()  # lines of the trainer
    given: Mapping[str, Any] = field(default_factory=dict)  # the arguments

    def at(self, now: float) -> State:
        """Tell where the job stands."""
        if self.ends_at is not None and now >= self.ends_at:
            return "COMPLETED"
        if self.state == "IN_QUEUE" and self.starts_at is not None and now >= self.starts_at:
            return "IN_PROGRESS"
        return self.state

    def is_known(self, app: str, now: float) -> bool:
        """Tell whether the queue answers for it under this app."""
        is_kept = self.forgotten_at is None or now < self.forgotten_at
        return is_kept and (self.endpoint is None or app_of(self.endpoint) == app)


def app_of(path: str) -> str:
    """Return the owner and app of an endpoint."""
    segments = path.split("/")
    return "/".join(segments[: 3 if segments[0] in THREE_SEGMENT_OWNERS else 2])


def lost_tail(app: str, known: str | None) -> str | None:
    """Return what is missing of an app of three segments that was asked with two of them; None where nothing is."""
    whole = app_of(known or "")
    return whole.removeprefix(app) if whole.startswith(f"{app}/") else None


def status(job: FalJob | None, request_id: str, url: str, now: float, *, logs: bool) -> Response:
    """Answer for the state of a request whose result lies at `url`."""
    if job is None:
        return json_response(404, b'{"status": "NOT_FOUND"}')
    state = job.at(now)
    fields: dict[str, Any] = {"status": state, **_addresses(request_id, url), "logs": _logs(job, now) if logs else None}
    if state == "IN_QUEUE":
        fields["queue_position"] = job.position
    if state == "COMPLETED":
        fields["metrics"] = {"inference_time": 7.58}
        errors = {"error": job.error, "error_type": job.error_type}
        fields |= {name: value for name, value in errors.items() if value is not None}
    return json_response(200 if state == "COMPLETED" else 202, bodies.dumps(fields))


def _logs(job: FalJob, now: float) -> list[dict[str, Any]]:
    at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return [{"message": line, "timestamp": at, "level": "INFO", "source": "USER"} for line in job.logs]


def result(job: FalJob | None, request_id: str, url: str, now: float) -> Response:
    """Answer for what a request gave: the model's own status and body, errors too."""
    if job is None:
        return json_response(404, b'{"detail": "Request not found"}')
    if job.at(now) != "COMPLETED":
        return json_response(400, bodies.dumps({"detail": UNFINISHED, **_addresses(request_id, url)}))
    return json_response(job.status_code, job.body)


def cancel(job: FalJob | None, now: float) -> Response:
    """Cancel a request, with 200 while it waits in the queue; what is at work may finish all the same."""
    if job is None:
        return json_response(404, b'{"status": "NOT_FOUND"}')
    if job.at(now) == "COMPLETED":
        told = {"status": "ALREADY_COMPLETED"} if (why := job.refuses_cancel_with) is None else {"detail": why}
        return json_response(400, bodies.dumps(told))
    is_removed = job.at(now) == "IN_QUEUE"
    if not job.ignores_cancel:
        job.state, job.ends_at, job.status_code = "COMPLETED", now, 499
        job.body = b'{"detail": "Request was cancelled", "error_type": "client_cancelled"}'
    return json_response(200 if is_removed else 202, b'{"status": "CANCELLATION_REQUESTED"}')


def listed(jobs: Mapping[str, FalJob], query: QueryParams, now: float) -> Response:
    """Answer with one page of fal's list. The cursor is a page's number: what ends meanwhile shifts the pages."""
    endpoints = query.getlist("endpoint_id")
    if not endpoints:
        return refused(422, "validation_error", "endpoint_id is required")
    wanted, number, limit = query.get("request_id"), int(query.get("cursor") or 1), int(query.get("limit") or PAGE)
    start = query.get("start")
    since = now - DAY if start is None else datetime.fromisoformat(start).timestamp()
    if wanted is not None and start is None:
        since = now - 90 * DAY
    found = [
        (request_id, job)
        for request_id, job in jobs.items()
        if job.is_listed
        and (job.endpoint is None or job.endpoint in endpoints)
        and wanted in (None, request_id)
        and since <= (now if job.sent_at is None else job.sent_at)
    ]
    found.sort(key=lambda entry: entry[1].ends_at or now, reverse=True)
    first = (number - 1) * limit
    has_more = len(found) > first + limit
    items = [
        _item(request_id, job, endpoints[0], now, payloads="payloads" in query.getlist("expand"))
        for request_id, job in found[first : first + limit]
    ]
    page = {"items": items, "next_cursor": str(number + 1) if has_more else None, "has_more": has_more}
    return json_response(200, bodies.dumps(page))


def refused(status_code: int, kind: str, message: str) -> Response:
    """Answer as the platform API words errors."""
    return json_response(status_code, bodies.dumps({"error": {"type": kind, "message": message}}))


def _item(request_id: str, job: FalJob, endpoint: str, now: float, *, payloads: bool) -> dict[str, Any]:
    sent = now if job.sent_at is None else job.sent_at
    is_over = job.at(now) == "COMPLETED"
    ended = (sent if job.ends_at is None else job.ends_at) if is_over else None
    item: dict[str, Any] = {
        "request_id": request_id,
        "endpoint_id": job.endpoint or endpoint,
        "sent_at": _moment(sent),
        "started_at": _moment(sent if job.starts_at is None else job.starts_at),
        "ended_at": None if ended is None else _moment(ended),
        "status_code": job.status_code if is_over else None,
        "duration": None if ended is None else ended - sent,
    }
    if payloads:
        item |= {
            "json_input": dict(job.given),
            "json_output": orjson.loads(job.body) if is_over and job.keeps_output else None,
        }
    return item


def _addresses(request_id: str, url: str) -> dict[str, str]:
    return {
        "request_id": request_id,
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
