"""Who answers on our port, and whether anybody redirects."""

import json
import socket
from collections.abc import Iterator

import pytest

from app.doctor.host.asking import Ask, Reply, Target
from app.doctor.host.port import look_at_exposure, look_at_port, look_for_redirects

NAME = "Aisha Bot FAL Webhook API"
PATH = "/api/v1/avatar/status_update"


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def answers(status: int, document: object, location: str = "") -> Ask:
    return lambda *_: Reply(status, json.dumps(document).encode(), location)


def silent(*_: object) -> Reply:
    raise ConnectionResetError(104, "Connection reset by peer")


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (answers(200, {"status": "healthy", "service": NAME}), "port.ours"),
        (answers(200, {"status": "healthy", "service": "another"}), "port.foreign"),
        (answers(200, ["healthy"]), "port.foreign"),
        (answers(404, {}), "port.foreign"),
        (silent, "port.foreign"),
    ],
    ids=["ours", "another name", "no object", "not found", "silent"],
)
def test_the_server_is_known_by_its_health(ask: Ask, code: str, port: int) -> None:
    """Only what answers /health under our name is ours."""
    found = look_at_port(Target("127.0.0.1", port, "aibots.kz"), NAME, "en", ask=ask)
    assert [one.code for one in found] == [code]


def test_a_silent_port_is_a_fail(port: int) -> None:
    """Where nobody listens, no request is tried."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    assert free != port
    assert [one.code for one in look_at_port(Target("127.0.0.1", free, "x"), NAME, "en", ask=silent)] == ["port.silent"]


def test_a_port_of_the_system_s_choice_is_told() -> None:
    """API_PORT=0 is for tests: fal cannot know it."""
    assert [one.code for one in look_at_port(Target("127.0.0.1", 0, "x"), NAME, "en", ask=silent)] == ["port.any"]


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (answers(200, {"status": "received", "test": True}), "webhook.answers"),
        (answers(301, {}, "https://www.aibots.kz/"), "webhook.redirected"),
        (answers(308, {}, ""), "webhook.redirected"),
        (answers(400, {"code": "host_not_allowed"}), "webhook.odd"),
        (answers(200, "<html>"), "webhook.odd"),
        (silent, "webhook.unreachable"),
    ],
    ids=["answers", "moved for good", "moved, nobody says where", "host refused", "no JSON", "silent"],
)
def test_the_webhook_must_answer_and_never_redirect(ask: Ask, code: str) -> None:
    """fault 38: a 3xx on the webhook's path is a fail, an odd answer a warning."""
    found = look_for_redirects(Target("127.0.0.1", 8443, "aibots.kz"), PATH, "en", ask=ask)
    assert [one.code for one in found] == [code]


def test_a_redirect_of_get_alone_is_found() -> None:
    """fault 38: GET is tried as well as POST, for some proxies redirect only one of them."""

    def ask(_target: Target, method: str, _path: str, _body: bytes | None) -> Reply:
        return Reply(302, b"", "/login") if method == "GET" else Reply(200, b'{"test": true}', "")

    [found] = look_for_redirects(Target("127.0.0.1", 8443, "aibots.kz"), PATH, "en", ask=ask)
    assert (found.code, "GET" in found.text) == ("webhook.redirected", True)


@pytest.mark.parametrize(
    ("host", "tls", "is_fronted", "codes"),
    [
        ("0.0.0.0", True, False, []),
        ("127.0.0.1", True, False, ["port.loopback_only"]),
        ("localhost", True, False, ["port.loopback_only"]),
        ("127.0.0.1", False, True, []),
        ("0.0.0.0", False, False, ["port.no_tls"]),
        ("aibots.kz", True, False, []),
    ],
)
def test_what_is_hidden_or_plain_needs_a_proxy(host: str, tls: bool, is_fronted: bool, codes: list[str]) -> None:
    """Loopback only, or without TLS, the server is not to be reached by fal unless nginx stands before it."""
    found = look_at_exposure(host, tls=tls, is_fronted=is_fronted, language="en")
    assert [one.code for one in found] == codes
