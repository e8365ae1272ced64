"""Which server answers on the port, and whether the webhook is redirected.

Source: a 3xx ends fal's delivery for good (docs/fal.md).
"""

import http.client
import json
import socket
from ipaddress import ip_address
from typing import Any

from app.doctor.finding import EDIT_SETTINGS, WHO_LISTENS, Catalogue, Finding, Level, Wording, finding, reason_of
from app.doctor.host.asking import SECONDS, Ask, Reply, Target, ask
from app.domain.language import Language, msgid

PROBE = b'{"test": true}'  # the webhook answers it with 200 and stores nothing

PROBING = "curl -k -X POST {url} -H 'Content-Type: application/json' -d '{{\"test\": true}}'"

WORDS: Catalogue = {
    "port.ours": Wording(Level.OK, msgid("port {port}: our server answers")),
    "port.silent": Wording(
        Level.FAIL,
        msgid("port {port}: nobody listens"),
        msgid("Start the server; if it ends, it says why."),
        "sudo systemctl start aisha-webhook-api || make run",
    ),
    "port.foreign": Wording(
        Level.FAIL,
        msgid("port {port}: another server answers ({reason})"),
        msgid("See who holds the port; stop it or change API_PORT."),
        WHO_LISTENS,
    ),
    "port.any": Wording(
        Level.WARN,
        msgid("API_PORT=0: another port each time, lost to fal"),
        msgid("Write into .env: API_PORT=8443"),
        EDIT_SETTINGS,
    ),
    "port.loopback_only": Wording(
        Level.WARN,
        msgid("API_HOST={host}: the server is not seen from outside, and no nginx leads here"),
        msgid("Write API_HOST=0.0.0.0 into .env, or put nginx in front of the server."),
        EDIT_SETTINGS,
    ),
    "port.no_tls": Wording(
        Level.FAIL,
        msgid("SSL_ENABLED=false and no nginx in front of the server: fal needs https://"),
        msgid("Write into .env: SSL_ENABLED=true"),
        EDIT_SETTINGS,
    ),
    "webhook.answers": Wording(Level.OK, msgid("{where}: the webhook answers without a redirect")),
    "webhook.redirected": Wording(
        Level.FAIL,
        msgid("{where}: {method} gets {status} to {location}; after a 3xx fal never tries again"),
        msgid("Take the redirect off this path, or give fal the final address."),
        "sudo nginx -T | grep -nE 'return 30|rewrite'",
    ),
    "webhook.odd": Wording(
        Level.WARN,
        msgid("{where}: a probing POST is answered {status} instead of 200: {hint}"),
        msgid("Look at the whole answer."),
        PROBING,
    ),
    "webhook.unreachable": Wording(
        Level.WARN,
        msgid("{where}: not reached from here ({reason}); some networks keep a machine from its own public address"),
        msgid("Try from another machine."),
        PROBING,
    ),
}


def is_open(address: str, port: int) -> bool:
    """Tell whether a connection to the port is accepted."""
    try:
        with socket.create_connection((address, port), timeout=SECONDS):
            return True
    except OSError:
        return False


def look_at_port(target: Target, service_name: str, language: Language, *, ask: Ask = ask) -> list[Finding]:
    """Ask whoever listens on our port for `/health`; `target` bears a name that is let in (asking.name_let_in)."""
    if target.port == 0:
        return [finding(WORDS, "port.any", language)]
    if not is_open(target.address, target.port):
        return [finding(WORDS, "port.silent", language, port=target.port)]
    try:
        reply = ask(target, "GET", "/health", None)
    except (OSError, http.client.HTTPException) as error:
        return [finding(WORDS, "port.foreign", language, port=target.port, reason=reason_of(error))]
    document = _document(reply)
    if document.get("service") == service_name and document.get("status") == "healthy":
        return [finding(WORDS, "port.ours", language, port=target.port)]
    reason = f"/health: {reply.status}"
    return [finding(WORDS, "port.foreign", language, port=target.port, reason=reason)]


def look_at_exposure(api_host: str, *, tls: bool, is_fronted: bool, language: Language) -> list[Finding]:
    """Judge API_HOST and SSL_ENABLED: a loopback address or plain HTTP needs a proxy in front."""
    if is_fronted:
        return []
    try:
        hidden = ip_address(api_host).is_loopback
    except ValueError:
        hidden = api_host == "localhost"
    found = [] if tls else [finding(WORDS, "port.no_tls", language)]
    return [*found, finding(WORDS, "port.loopback_only", language, host=api_host)] if hidden else found


def look_for_redirects(target: Target, path: str, language: Language, *, ask: Ask = ask) -> list[Finding]:
    """Call the webhook as fal would (POST) and as a browser does (GET): neither may be redirected."""
    scheme = "https" if target.tls else "http"
    url = f"{scheme}://{target.host_header}{path}"
    where = url if target.address == target.name else f"{url} ({target.address}:{target.port})"
    replies = {}
    try:
        for method, body in (("GET", None), ("POST", PROBE)):
            replies[method] = reply = ask(target, method, path, body)
            if 300 <= reply.status < 400:  # noqa: PLR2004  the redirects of HTTP
                facts = {"method": method, "status": reply.status, "location": reply.location or "?"}
                return [finding(WORDS, "webhook.redirected", language, where=where, **facts)]
    except (OSError, http.client.HTTPException) as error:
        return [finding(WORDS, "webhook.unreachable", language, where=where, url=url, reason=reason_of(error))]
    probed = replies["POST"]
    if probed.status != http.client.OK or _document(probed).get("test") is not True:
        hint = str(_document(probed).get("code", "?"))
        return [finding(WORDS, "webhook.odd", language, where=where, url=url, status=probed.status, hint=hint)]
    return [finding(WORDS, "webhook.answers", language, where=where)]


def _document(reply: Reply) -> dict[str, Any]:
    try:
        document = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
