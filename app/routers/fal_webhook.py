"""The webhook: raw body in, one plain answer out. JSON is read only for unsigned probes."""

import asyncio
import hashlib
import posixpath
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.text import quiet_json
from app.domain.delivery import Delivery
from app.domain.errors import DeliveryRefused, Unavailable
from app.domain.nonce import nonce_of
from app.domain.quotas import FULL_AGAIN, LineQuota, MemoryQuota
from app.fal.signature import SignedHeaders
from app.flows.accept import Accept
from app.flows.kinds import TRAINING_PATH, Kind
from app.flows.ports import Clock
from app.routers.body import PROBE, BodiesCrowded, HeldBody
from app.routers.problems import problem

log = structlog.get_logger("app.webhook")

PATH = TRAINING_PATH
CLOSE = {"Connection": "close"}
PROBED = "probed"  # among the codes of refusals, for probes share their ration of log lines
SHOWN = 100  # characters of a path or a Host header that a log line shows


def _on_the_loop(seconds: float, act: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, act)


def tell_muted(name: str, muted: Counter[str]) -> None:
    """Say how many lines about one address were left out of the log in its minute."""
    log.warning("delivery.muted", address=name or None, lines=muted.total(), codes=dict(muted))


@dataclass(frozen=True, slots=True)
class WebhookParts:
    """What the webhook works with. `kinds` finds the kind of a job by its path."""

    kinds: Mapping[str, Kind]
    accept: Accept
    clock: Clock
    memory: MemoryQuota
    lines: LineQuota = field(default_factory=lambda: LineQuota(_on_the_loop, tell_muted))

    def refused(self) -> dict[str, int]:
        """Count what was not taken since the start, by code."""
        return {code: number for code, number in sorted(self.lines.counted.items()) if code != PROBED}


class WebhookLane:
    """The webhook's path of each kind of job, answered before the framework's own middleware and routing.

    That is a third of what a delivery would cost, and nothing between can answer in our place, a CORS preflight
    included; every other path goes on to `app`. The path is exact: escapes that would decode to it are another path,
    as they are to a proxy in front.
    """

    def __init__(self, app: ASGIApp, parts: Callable[[], WebhookParts]) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the webhooks' paths, pass on the rest."""
        if scope["type"] != "http" or (kind := self._parts().kinds.get(scope["path"])) is None:
            if scope["type"] == "http" and self._is_meant_for_us(scope):
                self._note(scope, 404, "not_found", f"POST to {scope['path'][:SHOWN]!r}: a webhook's path is exact")
            await self._app(scope, receive, send)
        elif scope.get("raw_path", raw_path := kind.path.encode()) != raw_path:
            detail = "no such path; escapes do not stand for letters here"
            self._note(scope, 404, "not_found", detail)
            await _send(problem(404, "not_found", detail), send)
        elif scope["method"] != "POST":
            self._note(scope, 405, "method_not_allowed", "the webhook takes POST and nothing else")
            allow = {"Allow": "POST"}
            await _send(problem(405, "method_not_allowed", "the webhook takes POST and nothing else", allow), send)
        else:
            await self._deliver(kind, scope, receive, send)

    def on_host_refused(self, scope: Scope, host: bytes | None) -> None:
        """Log and count a delivery that was refused for its Host header (None: there was none, or several)."""
        if scope["path"] in self._parts().kinds or self._is_meant_for_us(scope):
            named = "no single host" if host is None else repr(host[:SHOWN].decode("latin-1"))
            self._note(scope, 400, "host_not_allowed", f"the Host header names {named}; see ALLOWED_HOSTS")

    def _is_meant_for_us(self, scope: Scope) -> bool:
        """Tell whether a POST to another path was meant for a webhook: one slash too many, another case, a prefix."""
        if scope["method"] != "POST":
            return False
        last = posixpath.basename(posixpath.normpath(scope["path"].strip().lower()))
        return any(last == posixpath.basename(path) for path in self._parts().kinds)

    def _note(self, scope: Scope, status: int, code: str, detail: str) -> None:
        """Log and count one refusal that comes before a delivery is looked at."""
        client = scope.get("client")
        address = client[0] if client else None
        if self._parts().lines.admits(address, code):
            log.warning("delivery.refused", code=code, status=status, address=address, detail=detail)

    async def _deliver(self, kind: Kind, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one POST. Never 3xx, never 500: our own bugs are answered 503, so that fal repeats the delivery."""
        parts = self._parts()
        client = scope.get("client")
        address = client[0] if client else None
        try:
            await _send(await self._answer(parts, kind, scope, receive, address), send)
        except Exception as error:  # noqa: BLE001  a bug, too, is worded and logged there
            await self.refuse(error, address, send)

    async def refuse(self, error: Exception, address: str | None, send: Send) -> None:
        """Word, log and send what one POST is refused with; what nothing here foresaw is a bug."""
        lines = self._parts().lines
        if isinstance(error, DeliveryRefused):
            if lines.admits(address, error.code):
                log.warning(
                    "delivery.refused", code=error.code, status=error.status, address=address, detail=error.detail
                )
            await _send(_refusal(error), send)
            return
        if not isinstance(error, Unavailable):
            # Never 500: fal comes again after a 503, and by then the bug may be mended.
            log.error("delivery.bug", exc_info=error, address=address)
            await _send(_unavailable("internal_error", Unavailable.retry_after, {}), send)
            return
        if lines.admits(address, error.code):
            log.error("delivery.not_stored", code=error.code, address=address, cause=str(error))
        more = CLOSE if isinstance(error, BodiesCrowded) else {}
        await _send(_unavailable(error.code, error.retry_after, more), send)

    async def _answer(
        self, parts: WebhookParts, kind: Kind, scope: Scope, receive: Receive, address: str | None
    ) -> Response:
        headers = scope["headers"]
        _check_form(headers)
        signed = await kind.authenticator.identify(headers, address)
        received_at = parts.clock.now()
        is_expected = signed is not None and kind.authenticator.addresses.allows(address)
        with HeldBody(parts.memory, address, is_expected=is_expected) as held:
            if signed is None:
                return _probe(parts, kind, scope, await held.read(headers, receive, PROBE), address)
            body = await held.read(headers, receive, parts.memory.limit)
            body_sha256 = hashlib.sha256(body).hexdigest()
            await kind.authenticator.prove(signed, body_sha256, address)
            delivery = Delivery(
                signed.request_id,
                body,
                body_sha256,
                _kept_headers(signed),
                received_at,
                kind=kind.name,
                nonce=nonce_of(scope["query_string"]),
            )
            receipt = await parts.accept(delivery)
        if not receipt.new:
            log.info("delivery.repeated", request_id=signed.request_id, delivery=receipt.id)
        return _received({"status": "received", "request_id": signed.request_id})


def _check_form(headers: list[tuple[bytes, bytes]]) -> None:
    """Take application/json only, and no compression: nothing is ever inflated here."""
    media_types = [value for name, value in headers if name == b"content-type"]
    if len(media_types) != 1 or media_types[0].partition(b";")[0].strip().lower() != b"application/json":
        raise DeliveryRefused(415, "media_type_unsupported", "send exactly one Content-Type: application/json")
    if any(name == b"content-encoding" for name, _ in headers):
        raise DeliveryRefused(415, "encoding_unsupported", "send the body as it is, without Content-Encoding")


def _kept_headers(signed: SignedHeaders) -> dict[str, str]:
    """Keep what the signature covers, and the signature: enough to prove the row again later."""
    return {
        "x-fal-webhook-request-id": signed.request_id,
        "x-fal-webhook-user-id": signed.user_id,
        "x-fal-webhook-timestamp": signed.timestamp_text,
        "x-fal-webhook-signature": signed.signature.hex(),
    }


def _probe(parts: WebhookParts, kind: Kind, scope: Scope, body: bytes, address: str | None) -> Response:
    """Answer an operator's unsigned curl with what a real delivery would have met; store nothing."""
    try:
        asked: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        asked = None
    request_id = asked.get("request_id") if isinstance(asked, dict) else None
    named_test = isinstance(request_id, str) and request_id.startswith("test")
    if not (named_test or (isinstance(asked, dict) and asked.get("test") is True)):
        raise DeliveryRefused(401, "signature_missing", "the X-Fal-Webhook-* headers are missing")
    checks = {
        "signature": "absent",
        "keys": "present" if kind.authenticator.keys.current() else "absent",
        "address": "listed" if kind.authenticator.addresses.allows(address) else "not listed",
        "ip_filter": kind.authenticator.ip_filter,
        "tls": scope.get("extensions", {}).get("tls", {}).get("version", "none"),
    }
    if parts.lines.admits(address, PROBED):
        log.info("delivery.probed", address=address)
    told = {"status": "received", "test": True, "request_id": request_id if named_test else None, "checks": checks}
    # Read in a terminal, so no control characters in it.
    return Response(quiet_json(orjson.dumps(told).decode()), media_type="application/json")


async def _send(response: Response, send: Send) -> None:
    # The same two messages as Response.__call__ sends, at less cost.
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body})


def _received(answer: dict[str, Any]) -> Response:
    return Response(orjson.dumps(answer), media_type="application/json")


def _refusal(error: DeliveryRefused) -> Response:
    # The connection is closed: the unread rest of a body must not be parsed as the next request.
    headers = CLOSE if error.status in (400, 413, 415) else {}
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        headers = {"Retry-After": str(FULL_AGAIN)}
    return problem(error.status, error.code, error.detail, headers)


def _unavailable(code: str, retry_after: int, more: Mapping[str, str]) -> Response:
    detail = "this delivery could not be judged or stored; send it again"
    return problem(503, code, detail, {"Retry-After": str(retry_after), **more})
