"""Where a request is asked about."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.endpoint import ENDPOINT_LIMIT, is_endpoint
from app.domain.trainer import Trainer
from app.fal.endpoints import (
    FORMER_STYLE,
    TrainerEndpoints,
    app_of,
    cancel_url,
    list_url,
    names_request,
    result_url,
    same_origin,
    status_url,
)

BASE = "https://queue.fal.run"
TRAINERS = TrainerEndpoints("fal-ai/portrait", "fal-ai/style")


@pytest.mark.parametrize(
    "text",
    [
        "fal-ai/flux-lora-portrait-trainer",
        "fal-ai/kling-video/v2.1/master/image-to-video",
        "a_b/c.d",
        "workflows/me/mine",
        "comfy/me/mine/run",
        "a/" + "b" * (ENDPOINT_LIMIT - 2),
    ],
)
def test_an_endpoint_has_two_to_five_segments(text: str) -> None:
    """Owner, app and a sub-path of lower-case letters, digits, dots, dashes and underscores."""
    assert is_endpoint(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fal-ai",
        "fal-ai/",
        "/fal-ai/flux",
        "fal-ai//flux",
        "fal-ai/flux/",
        "a/b/c/d/e/f",
        "fal-ai/..",
        "fal-ai/./flux",
        "../flux",
        "fal-ai/Flux",
        "fal-ai/flux?x=1",
        "fal-ai/flux#x",
        "fal-ai/flux%2e",
        "fal-ai/flux dev",
        "fal-ai/flux\n",
        "fal-ai/люкс",
        "https://queue.fal.run/fal-ai/flux",
        "workflows/me",
        "a/" + "b" * (ENDPOINT_LIMIT - 1),
    ],
)
def test_what_is_no_endpoint(text: str) -> None:
    """Nothing that would climb, end or leave the path, and nothing that no column holds."""
    assert not is_endpoint(text)
    assert result_url(BASE, text, "r1") is None
    assert status_url(BASE, text, "r1") is None
    assert cancel_url(BASE, text, "r1") is None
    assert list_url(BASE, text, "r1", datetime.now(UTC)) is None  # noqa: TID251  the moment does not matter


@pytest.mark.parametrize(
    ("endpoint", "app"),
    [
        ("fal-ai/flux", "fal-ai/flux"),
        ("fal-ai/flux/dev/image-to-image", "fal-ai/flux"),
        ("workflows/me/mine", "workflows/me/mine"),
        ("workflows/me/mine/run", "workflows/me/mine"),
        ("comfy/me/mine/run", "comfy/me/mine"),
    ],
)
def test_the_queue_knows_an_app_by_owner_and_name(endpoint: str, app: str) -> None:
    """The sub-path is dropped; two namespaces keep three segments."""
    assert app_of(endpoint) == app
    assert result_url(BASE, endpoint, "r1") == f"{BASE}/{app}/requests/r1"
    assert status_url(f"{BASE}/", endpoint, "r1") == f"{BASE}/{app}/requests/r1/status"
    assert cancel_url(BASE, endpoint, "r1") == f"{BASE}/{app}/requests/r1/cancel"


def test_the_list_names_the_moment_in_utc() -> None:
    """A moment of another zone is the same moment, to the second."""
    since = datetime(2026, 11, 1, 1, 2, 3, 456, tzinfo=timezone(timedelta(hours=5)))
    url = list_url("https://api.fal.ai/", "fal-ai/flux/dev", "r 1&x", since)
    assert url == (
        "https://api.fal.ai/v1/models/requests/by-endpoint?endpoint_id=fal-ai%2Fflux%2Fdev&request_id=r+1%26x"
        "&expand=payloads&start=2026-10-31T20%3A02%3A03Z"
    )


@given(st.text())
def test_a_request_id_is_one_segment_or_nothing(request_id: str) -> None:
    """Whatever an id spells, it neither ends the path nor adds a segment to it."""
    url = result_url(BASE, "fal-ai/flux", request_id)
    if url is not None:
        prefix, _, last = url.rpartition("/")
        assert prefix == f"{BASE}/fal-ai/flux/requests"
        assert last.isascii()
        assert not set(last) & set("?#\\ \n")
        assert last.strip(".")
        assert names_request(f"{url}/status", request_id)


@pytest.mark.parametrize("request_id", ["", ".", "..", "...", "a" * 256])
def test_what_is_no_request_id(request_id: str) -> None:
    """An id that is nothing but dots, or longer than a delivery's may be, is asked for nowhere."""
    assert result_url(BASE, "fal-ai/flux", request_id) is None
    assert list_url(BASE, "fal-ai/flux", request_id, datetime(2026, 1, 1, tzinfo=UTC)) is None
    assert not names_request(f"{BASE}/{request_id}", request_id)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://queue.fal.run/fal-ai/flux/requests/r1", BASE),
        ("https://queue.fal.run", BASE),
        ("https://QUEUE.fal.run:443/x", BASE),
        ("HTTPS://queue.fal.run/x?y=1", BASE),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/base"),
        ("http://[::1]:8080/x", "http://[::1]:8080"),
    ],
)
def test_the_same_origin(url: str, base: str) -> None:
    """Scheme, host and port agree, whatever way they are spelled."""
    assert same_origin(url, base)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "queue.fal.run/x",
        "//queue.fal.run/x",
        "https:queue.fal.run/x",
        "https:///queue.fal.run/x",
        "http://queue.fal.run/x",
        "https://queue.fal.run:8443/x",
        "https://queue.fal.run:port/x",
        "https://queue.fal.run:99999/x",
        "https://queue.fal.run.evil.example/x",
        "https://evil.example/queue.fal.run",
        "https://evil.example?@queue.fal.run/x",
        "https://evil.example#@queue.fal.run/x",
        "https://queue.fal.run@evil.example/x",
        "https://@queue.fal.run/x",
        "https://key@queue.fal.run/x",
        "https://evil.example\\@queue.fal.run/x",
        "https://queue.fal.run\\.evil.example/x",
        "https://queue.fal.run\t.evil.example/x",
        " https://queue.fal.run/x",
        "https://queue.fal.run/x\n",
        "https://queue。fal。run/x",
        "https://[queue.fal.run/x",
        "ftp://queue.fal.run/x",
        "file:///etc/passwd",
    ],
)
def test_another_origin(url: str) -> None:
    """What is not surely fal's own address does not get our key."""
    assert not same_origin(url, BASE)


@given(st.text())
def test_an_origin_that_cannot_be_read_is_nobody_s(url: str) -> None:
    """Two addresses that make no sense are not of the same origin, and nothing is raised."""
    assert not same_origin(url, url) or url.lower().startswith(("http://", "https://"))
    names_request(url, "r1")


def test_an_address_must_name_the_request() -> None:
    """Another job's address would tell of that job."""
    assert names_request(f"{BASE}/fal-ai/flux/requests/r1/status", "r1")
    assert not names_request(f"{BASE}/fal-ai/flux/requests/r12", "r1")
    assert not names_request(f"{BASE}/fal-ai/flux/requests/r2?r1", "r1")
    assert not names_request("https://[", "r1")


@pytest.mark.parametrize(
    ("trainer", "candidates"),
    [
        (Trainer.PORTRAIT, ("fal-ai/portrait", "fal-ai/style", FORMER_STYLE)),
        (None, ("fal-ai/portrait", "fal-ai/style", FORMER_STYLE)),
        (Trainer.STYLE, ("fal-ai/style", FORMER_STYLE, "fal-ai/portrait")),
    ],
)
def test_every_known_endpoint_is_a_candidate(trainer: Trainer | None, candidates: tuple[str, ...]) -> None:
    """The trainer's own comes first; the former one of styles is never forgotten."""
    assert TRAINERS.candidates(trainer) == candidates


def test_no_endpoint_is_asked_twice() -> None:
    """Where settings name one endpoint twice it is one candidate."""
    assert TrainerEndpoints("a/b", FORMER_STYLE).candidates(Trainer.STYLE) == (FORMER_STYLE, "a/b")
    assert TrainerEndpoints("a/b", "a/b").candidates(None) == ("a/b", FORMER_STYLE)
