"""What fal's queue and its list of requests say of a job. Pure.

Facts: docs/fal.md. The result endpoint replays the model's own status and body, so what is told apart here is who
speaks: the model (the job's end), the queue (not yet, unknown), or whoever guards them (our key, our account, limits).
A percent is read out of a trainer's lines at best effort: a bar counts only when its total is the number of steps of
the training, for captioning and downloads draw bars, too.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, TypeGuard

from app.domain.errors import PayloadUnreadable
from app.domain.look import (
    AtEnd,
    AtWork,
    Broken,
    Queued,
    Result,
    ResultSaid,
    StatusSaid,
    Trouble,
    Unknown,
    Unsaid,
)
from app.fal import error_types, result_body
from app.fal.payload import FalAnswer, parse, read
from app.fal.scrub import without_any_key

WORDS_LIMIT = 300  # characters of fal's own words that an operator is shown
POSITION_LIMIT = 10**9

_UNFINISHED = re.compile(r"\brequest\b.{0,40}\bin progress\b", re.IGNORECASE)
_LOCKED = re.compile(r"\buser is locked\b|\bexhausted balance\b", re.IGNORECASE)
_NO_SUCH_PATH = re.compile(r"\bpath \S+ not found\b", re.IGNORECASE)
_ERROR_TYPE = re.compile(r"[a-z_]{1,64}")
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_OF_ADDRESSES = _GONE | {HTTPStatus.METHOD_NOT_ALLOWED}  # what is wrong with an address says nothing of a job
_MODELS_OWN = frozenset({HTTPStatus.UNPROCESSABLE_ENTITY, 499})  # 499: cancelled; the queue has no other use for them
_REFUSED: dict[int, Trouble] = {
    HTTPStatus.UNAUTHORIZED: Trouble.FAL_KEY_REFUSED,
    HTTPStatus.FORBIDDEN: Trouble.FAL_KEY_REFUSED,
    HTTPStatus.REQUEST_TIMEOUT: Trouble.RATE_LIMITED,
    HTTPStatus.TOO_MANY_REQUESTS: Trouble.RATE_LIMITED,
}


def read_status(answered: FalAnswer | Unsaid) -> StatusSaid:
    """Understand an answer of the status endpoint. COMPLETED says nothing of success, with an error or without."""
    if isinstance(answered, Unsaid):
        return answered
    document = document_of(answered)
    if (refusal := refusal_of(answered.status, document)) is not None:
        return refusal
    if answered.status in _GONE:
        return _unknown(answered.status, document)
    if _is_success(answered.status):
        match document.get("status"):
            case "IN_QUEUE":
                return Queued(_position(document.get("queue_position")))
            case "IN_PROGRESS":
                return AtWork()
            case "COMPLETED":
                return AtEnd()
    return _unsaid(answered.status, document)


def read_logs(answered: FalAnswer | Unsaid) -> list[str]:
    """Take the lines out of a status answer with logs; none where there are none, or none can be had."""
    logs = None if isinstance(answered, Unsaid) else document_of(answered).get("logs")
    if not isinstance(logs, list):
        return []
    lines = [entry.get("message") for entry in logs if isinstance(entry, dict)]
    return [line for line in lines if isinstance(line, str)]


def read_result(request_id: str, answered: FalAnswer | Unsaid) -> ResultSaid:
    """Understand an answer of the result endpoint.

    A 5xx is `Broken` where it names its error type: then it is the model's answer, replayed. Without a type it is a
    gateway's, which speaks of no job, so that an outage never fails a training.
    """
    if isinstance(answered, Unsaid):
        return answered
    status, document = answered.status, document_of(answered)
    if _is_unfinished(status, document):
        return AtWork()
    if (refusal := refusal_of(status, document)) is not None:
        return refusal
    if _is_success(status):
        return _success(request_id, status, document)
    document |= _error_type(answered.headers, document)
    if _is_models(status, document):
        return _failure(request_id, status, document)
    return _unknown(status, document) if status in _GONE else _unsaid(status, document)


def read_listed(request_id: str, answered: FalAnswer | Unsaid) -> ResultSaid:
    """Understand an answer of fal's list of requests about one of them, with what it gave."""
    if isinstance(answered, Unsaid):
        return answered
    status, document = answered.status, document_of(answered)
    if (refusal := refusal_of(status, document)) is not None:
        return refusal
    items = document.get("items")
    if not _is_success(status) or not isinstance(items, list):
        return _unsaid(status, document)
    ours = [item for item in items if isinstance(item, dict) and item.get("request_id") == request_id]
    if ours:
        return _listed(request_id, status, ours)
    if document.get("has_more"):
        return Unsaid(Trouble.FAL_ODD, "fal's list has more pages than one request can fill")
    return Unknown()


def _listed(request_id: str, status: int, items: Sequence[Mapping[str, Any]]) -> ResultSaid:
    """Judge the entries of one request: fal may have tried it more than once, and pages overlap."""
    ended = [item for item in items if _is_number(item.get("status_code"))]
    done = [item for item in ended if _is_success(item["status_code"])]
    for item in done:
        if isinstance(item.get("json_output"), dict) and item["json_output"]:
            return _success(request_id, status, item["json_output"])
    if done:
        return Unsaid(Trouble.FAL_ODD, "fal's list says that the request succeeded, but not with what")
    if any(item.get("status_code") is None and item.get("ended_at") is None for item in items):
        return AtWork()
    failed = [item for item in ended if item["status_code"] >= HTTPStatus.BAD_REQUEST]
    if not failed:
        return Unsaid(Trouble.FAL_ODD, "fal's list does not say how the request ended")
    last = max(failed, key=lambda item: str(item.get("ended_at") or ""))
    return _failure(request_id, last["status_code"], last.get("json_output"))


def _success(request_id: str, status: int, payload: dict[str, Any]) -> ResultSaid:
    # What the queue says of a request is no model's output: somebody gave us the address of its state.
    if not payload or (payload.get("status") == "COMPLETED" and "response_url" in payload):
        return _unsaid(status, payload)
    return _end(Result, partial(result_body.success, request_id, payload))


def _failure(request_id: str, status: int, payload: object) -> ResultSaid:
    detail = payload.get("detail") if isinstance(payload, dict) else None
    is_broken = status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(detail, list)
    return _end(Broken if is_broken else Result, partial(result_body.failure, request_id, payload, status))


def _end(said: type[Result | Broken], write: partial[bytes]) -> ResultSaid:
    """Let through only what can be stored and read again as a delivery."""
    try:
        body = write()
        read(body)
    except (PayloadUnreadable, ValueError, TypeError):
        return Unsaid(Trouble.FAL_ODD, "fal's answer cannot be kept as the end of a job")
    return said(body)


def _is_models(status: int, document: Mapping[str, Any]) -> bool:
    """Tell a verdict on the job from trouble of the queue itself, which speaks in bare sentences and without a type."""
    if status < HTTPStatus.BAD_REQUEST:
        return False
    if isinstance(document.get("detail"), list) or (status in _MODELS_OWN and document):
        return True
    return status not in _OF_ADDRESSES and isinstance(document.get("error_type"), str)


def _is_unfinished(status: int, document: Mapping[str, Any]) -> bool:
    if status == HTTPStatus.ACCEPTED:
        return True
    detail = document.get("detail")
    if isinstance(detail, str):
        loosely = status == HTTPStatus.BAD_REQUEST and "in progress" in detail.lower()
        return loosely or _UNFINISHED.search(detail) is not None
    return _is_success(status) and document.get("status") in ("IN_QUEUE", "IN_PROGRESS")


def refusal_of(status: int, document: Mapping[str, Any]) -> Unsaid | None:
    """Say whose trouble it is that fal said nothing, where it is plain: a key's, an account's, a limit's."""
    trouble = _REFUSED.get(status)
    if status == HTTPStatus.FORBIDDEN and _LOCKED.search(_sentence(document)):
        trouble = Trouble.ACCOUNT_LOCKED
    return None if trouble is None else Unsaid(trouble, told_by(status, document))


def _unknown(status: int, document: Mapping[str, Any]) -> Unknown | Unsaid:
    # The app is there and has no such path: the address is wrong, and nothing is said about the request.
    return _unsaid(status, document) if _NO_SUCH_PATH.search(_sentence(document)) else Unknown()


def _unsaid(status: int, document: Mapping[str, Any]) -> Unsaid:
    trouble = Trouble.FAL_DOWN if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Trouble.FAL_ODD
    return Unsaid(trouble, told_by(status, document))


def told_by(status: int, document: Mapping[str, Any]) -> str:
    """Word an answer for the operator: no key, no more than a sentence."""
    words = _sentence(document)
    if not words:
        return f"fal answered {status}"
    words = without_any_key(error_types.failure({"detail": words}).detail)
    return f"fal answered {status}: {words if len(words) <= WORDS_LIMIT else words[: WORDS_LIMIT - 1] + '…'}"


def _sentence(document: Mapping[str, Any]) -> str:
    match document:
        case {"detail": str(text)} | {"error": {"message": str(text)}} | {"status": str(text)}:
            return text
    return ""


def _error_type(headers: Mapping[str, str], document: Mapping[str, Any]) -> dict[str, str]:
    """Read the error type that stands in a header alone."""
    kind = headers.get("x-fal-error-type", "")
    return {"error_type": kind} if "error_type" not in document and _ERROR_TYPE.fullmatch(kind) else {}


def document_of(answered: FalAnswer) -> dict[str, Any]:
    """Parse a body; what is no JSON object says nothing and is empty."""
    try:
        document = parse(answered.body)
    except PayloadUnreadable:
        return {}
    return document if isinstance(document, dict) else {}


def _position(value: object) -> int | None:
    return value if _is_number(value) and 0 <= value <= POSITION_LIMIT else None


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


LONGEST_LINE = 2_000  # characters looked at; a bar is far shorter
_BAR = re.compile(r"(?<![\d./])(\d{1,6})\s?/\s?(\d{1,6})(?![\d./])", re.ASCII)


def read_percent(messages: Iterable[str], steps: int | None) -> int | None:
    r"""Return the highest share of `steps` that a line shows, 0 to 99; None where none does beyond doubt.

    >>> read_percent(["Loaded 14 training samples", " 37%|3 | 925/2500 [03:10<05:24]\r 38%|3 | 950/2500 [03:15"], 2500)
    38
    >>> read_percent(["100%|##| 14/14 [00:06<00:00]"], 2500) is None
    True
    """
    if not steps or steps < 0:
        return None
    done = [
        int(at)
        for message in messages
        for part in message[-LONGEST_LINE:].split("\r")
        for at, total in _BAR.findall(part)
        if int(total) == steps and int(at) <= steps
    ]
    return min(max(done) * 100 // steps, 99) if done else None
