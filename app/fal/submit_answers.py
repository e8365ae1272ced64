"""What fal says to a submission, to a cancellation, and of what it holds and costs. Pure. Facts: docs/fal.md.

A submission is sent once. So its answer is read for one question: has fal taken it, surely not, or is that unknown?
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeGuard

from app.domain.job import Stage
from app.domain.look import Trouble, Unsaid
from app.domain.submission import ListedRequest, Price
from app.domain.submit_outcome import (
    AlreadyOver,
    AnswerLost,
    Cancelled,
    CancelOutcome,
    NotTaken,
    SubmitOutcome,
    Submitted,
)
from app.fal.payload import ID_LIMIT, FalAnswer
from app.fal.queue_answers import document_of, refusal_of, told_by

_AMBIGUOUS = frozenset({HTTPStatus.REQUEST_TIMEOUT})  # somebody on the way gave up waiting
_STAGES = {"IN_PROGRESS": Stage.AT_WORK, "COMPLETED": Stage.FINISHED}


def read_submitted(answered: FalAnswer, is_own: Callable[[str, str], bool]) -> SubmitOutcome:
    """Understand the answer to a submission; `is_own(url, request_id)` tells whether an address may be asked later.

    A 5xx may be a gateway's that has passed the submission on; a 2xx that names no request was taken under a name that
    we do not know.
    """
    status, document = answered.status, document_of(answered)
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        request_id = document.get("request_id")
        if not _is_request_id(request_id):
            return AnswerLost(f"fal answered {status} without a request id that can be read")
        urls = {
            name: url
            for name in ("status_url", "response_url", "cancel_url")
            if isinstance(url := document.get(name), str) and is_own(url, request_id)
        }
        return Submitted(request_id, stage=_STAGES.get(str(document.get("status")), Stage.QUEUED), **urls)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _AMBIGUOUS:
        return AnswerLost(told_by(status, document))
    return _not_taken(status, document)


def read_cancelled(answered: FalAnswer) -> CancelOutcome:
    """Understand the answer to a cancellation."""
    status, document = answered.status, document_of(answered)
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Cancelled()
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):  # ALREADY_COMPLETED may come without the word
        return AlreadyOver()
    return _not_taken(status, document)


def read_prices(answered: FalAnswer | Unsaid, endpoint: str) -> Price | None:
    """Find the price of an endpoint, in US dollars; None where fal names none that can be read."""
    if isinstance(answered, Unsaid) or answered.status != HTTPStatus.OK:
        return None
    for price in _dicts(document_of(answered).get("prices")):
        dollars, unit = price.get("unit_price"), price.get("unit")
        if (
            price.get("endpoint_id") == endpoint
            and isinstance(unit, str)
            and isinstance(dollars, int | float)
            and not isinstance(dollars, bool)
            and dollars >= 0
            and str(price.get("currency", "USD")).upper() == "USD"
        ):
            return Price(float(dollars), unit)
    return None


def read_page(answered: FalAnswer | Unsaid) -> tuple[list[ListedRequest], str | None] | Unsaid:
    """Read a page of fal's list, and the cursor of the next."""
    if isinstance(answered, Unsaid):
        return answered
    document = document_of(answered)
    items, cursor = document.get("items"), document.get("next_cursor")
    if answered.status != HTTPStatus.OK or not isinstance(items, list):
        trouble = refusal_of(answered.status, document)
        return trouble or Unsaid(Trouble.FAL_ODD, told_by(answered.status, document))
    found = [
        ListedRequest(item["request_id"], _moment(item.get("sent_at")) or _moment(item.get("started_at")), _texts(item))
        for item in _dicts(items)
        if _is_request_id(item.get("request_id"))
    ]
    return found, cursor if isinstance(cursor, str) and document.get("has_more") else None


def _not_taken(status: int, document: dict[str, Any]) -> NotTaken:
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return NotTaken(Trouble.ACCOUNT_LOCKED, told_by(status, document))
    refusal = refusal_of(status, document)
    if refusal is not None:
        return NotTaken(refusal.trouble, refusal.detail)
    return NotTaken(Trouble.FAL_ODD, told_by(status, document))


def _texts(item: dict[str, Any]) -> tuple[str, ...]:
    given = item.get("json_input")
    return tuple(value for value in given.values() if isinstance(value, str)) if isinstance(given, dict) else ()


def _dicts(value: object) -> Iterator[dict[str, Any]]:
    yield from (item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def _moment(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)


def _is_request_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= ID_LIMIT and value.isascii() and value.isprintable()
