"""The short way for ordinary deliveries: valid, signed by fal's first key, in the form that fal sends.

Whatever is odd, from a doubled header to a wrong signature, is passed to the full way (`fal_webhook`) with its body:
only there are refusals judged, worded, rationed and logged. Here a delivery costs a third of what it costs there.
"""

import hashlib
import re
from binascii import Error as NotHex
from binascii import unhexlify
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.delivery import TRACEPARENT, Delivery
from app.domain.nonce import nonce_of
from app.fal.authenticate import IpFilter
from app.fal.signature import CLOCK_TOLERANCE, REQUEST_ID, SIGNATURE, TIMESTAMP, USER_ID, is_signed_by
from app.fal.trace import HEADER, read_traceparent
from app.flows.kinds import Kind
from app.routers.fal_webhook import PLAIN_ID, WebhookParts

log = structlog.get_logger("app.webhook")

JSON = frozenset((b"application/json", b"application/json; charset=utf-8"))
PLAIN_ACCOUNT = re.compile(rb"[!-~]{1,255}")  # printable ASCII: of any other the full way says whether it is printable
SIGNATURE_DIGITS = 128  # hex

ClientOf = Callable[[Scope, bytes | None], str | None]
AllowsHost = Callable[[bytes | None], bool]
Refuse = Callable[[Exception, str | None, Scope, Send], Awaitable[None]]
Answer = Callable[[bytes, Send], Awaitable[None]]


@dataclass(eq=False, repr=False, slots=True)
class LeanLane:
    """Takes ordinary deliveries; `full` answers everything else.

    `client_of` tells who calls, from the peer and its X-Forwarded-For; `allows_host` whether the Host header names this
    server; `refuse` words, logs and sends what could not be stored; `answer` sends 200 with a body of JSON.
    """

    full: ASGIApp
    parts: Callable[[], WebhookParts]
    client_of: ClientOf
    allows_host: AllowsHost
    refuse: Refuse
    answer: Answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ordinary delivery, pass on the rest."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.full(scope, receive, send)
            return
        parts = self.parts()
        kind = parts.kinds.get(scope["path"])
        if kind is None or scope.get("raw_path") != kind.raw_path:
            await self.full(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        address = self.client_of(scope, headers.get(b"x-forwarded-for"))
        if not self._is_ordinary(kind, headers, len(scope["headers"]), address):
            await self.full(scope, receive, send)
            return
        message = await receive()
        delivery = None
        if message["type"] == "http.request" and not message.get("more_body"):
            delivery = _proven(parts, kind, headers, message.get("body", b""), nonce_of(scope["query_string"]))
        is_expected = kind.authenticator.addresses.allows(address)
        if delivery is None or parts.memory.take(address, len(delivery.body), is_expected=is_expected):
            await self.full(scope, _again(message, receive), send)
            return
        try:
            receipt = await parts.accept(delivery)
        except Exception as error:  # noqa: BLE001  a bug, too, is worded and logged there
            await self.refuse(error, address, scope, send)
            return
        finally:
            parts.memory.give_back(address, len(delivery.body))
        if not receipt.new:
            trace = delivery.headers.get(TRACEPARENT)
            log.info("delivery.repeated", request_id=delivery.request_id, delivery=receipt.id, traceparent=trace)
        await self.answer(b'{"status":"received","request_id":"%b"}' % headers[REQUEST_ID], send)

    def _is_ordinary(self, kind: Kind, headers: dict[bytes, bytes], count: int, address: str | None) -> bool:
        """Tell whether the headers are ordinary: none twice, our Host, plain JSON, one of fal's addresses."""
        authenticator = kind.authenticator
        return (
            len(headers) == count
            and headers.get(b"content-type") in JSON
            and b"content-encoding" not in headers
            and self.allows_host(headers.get(b"host"))
            and (authenticator.ip_filter is IpFilter.OFF or authenticator.addresses.allows(address))
        )


def _proven(
    parts: WebhookParts, kind: Kind, headers: dict[bytes, bytes], body: bytes, nonce: str | None
) -> Delivery | None:
    """Return the delivery if fal's first key signed it for our account, now; None where the full way must judge."""
    authenticator = kind.authenticator
    try:
        request_id, user_id = headers[REQUEST_ID], headers[USER_ID]
        timestamp, signature = headers[TIMESTAMP], headers[SIGNATURE]
        account, raw_signature = user_id.decode(), unhexlify(signature)
    except (KeyError, UnicodeDecodeError, NotHex):
        return None
    received_at = parts.clock.now()
    if (
        len(signature) != SIGNATURE_DIGITS
        or len(body) > parts.memory.limit
        or PLAIN_ID.fullmatch(request_id) is None
        or PLAIN_ACCOUNT.fullmatch(user_id) is None
        or not authenticator.takes_account(account)
        or not (timestamp.isdigit() and len(timestamp) <= 12)  # noqa: PLR2004  fal/signature.py
        or abs(int(timestamp) - received_at.timestamp()) > CLOCK_TOLERANCE
    ):
        return None
    body_sha256 = hashlib.sha256(body).hexdigest()
    text = b"%b\n%b\n%b\n%b" % (request_id, user_id, timestamp, body_sha256.encode())
    keys = authenticator.keys.current()
    if not keys or not is_signed_by(keys[0], raw_signature + text):
        return None  # the full way tries fal's other keys, and the one that fits is the first from then on
    name = request_id.decode()
    kept = {
        "x-fal-webhook-request-id": name,
        "x-fal-webhook-user-id": account,
        "x-fal-webhook-timestamp": timestamp.decode(),
        "x-fal-webhook-signature": signature.decode().lower(),
    }
    if HEADER in headers and (trace := read_traceparent(headers[HEADER])) is not None:
        kept[TRACEPARENT] = trace
    return Delivery(name, body, body_sha256, kept, received_at, kind=kind.name, nonce=nonce)


def _again(first: Message, receive: Receive) -> Receive:
    """Return a `receive` that yields `first` and then what follows."""
    waiting = [first]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed
