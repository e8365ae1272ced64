"""Where a request is asked about: the addresses of fal's queue and platform API. Pure.

Facts: docs/fal.md. Status, result and cancel drop the sub-path of the endpoint: owner and app only.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit

from app.domain.endpoint import app_length, is_endpoint
from app.domain.trainer import Trainer
from app.fal.payload import ID_LIMIT

FORMER_STYLE = "fal-ai/flux-pro-trainer"  # no longer served; the trainer of styles before
LIST_PATH = "/v1/models/requests/by-endpoint"

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class TrainerEndpoints:
    """Where trainings are submitted: the settings TRAINER_PORTRAIT and TRAINER_STYLE."""

    portrait: str
    style: str

    def candidates(self, trainer: Trainer | None) -> tuple[str, ...]:
        """List every endpoint that a training may have been submitted to, the likeliest first.

        `trainer` None is taken for portrait, as the bot does.
        """
        style = (self.style, FORMER_STYLE)
        order = (*style, self.portrait) if trainer is Trainer.STYLE else (self.portrait, *style)
        return tuple(dict.fromkeys(order))

    def trainer_of(self, endpoint: str) -> Trainer | None:
        """Tell what is trained at an endpoint; None where nobody said."""
        if endpoint == self.portrait:
            return Trainer.PORTRAIT
        return Trainer.STYLE if endpoint in (self.style, FORMER_STYLE) else None


def app_of(endpoint: str) -> str:
    """Return owner and app, without the sub-path.

    >>> app_of("fal-ai/kling-video/v2/master"), app_of("workflows/me/mine/run")
    ('fal-ai/kling-video', 'workflows/me/mine')
    """
    segments = endpoint.split("/")
    return "/".join(segments[: app_length(segments[0])])


def result_url(base_url: str, endpoint: str, request_id: str) -> str | None:
    """Spell where the result of a request lies; None where endpoint or id cannot be fal's."""
    if not is_endpoint(endpoint) or not _is_request_id(request_id):
        return None
    return f"{base_url.rstrip('/')}/{app_of(endpoint)}/requests/{_quoted(request_id)}"


def status_url(base_url: str, endpoint: str, request_id: str) -> str | None:
    """Spell where the state of a request lies; None where endpoint or id cannot be fal's."""
    url = result_url(base_url, endpoint, request_id)
    return None if url is None else f"{url}/status"


def cancel_url(base_url: str, endpoint: str, request_id: str) -> str | None:
    """Spell where a request is cancelled (PUT); None where endpoint or id cannot be fal's."""
    url = result_url(base_url, endpoint, request_id)
    return None if url is None else f"{url}/cancel"


def submit_url(base_url: str, endpoint: str, webhook: str) -> str | None:
    """Spell where a request is submitted (POST), with its sub-path; None where the endpoint cannot be fal's."""
    if not is_endpoint(endpoint):
        return None
    return f"{base_url.rstrip('/')}/{endpoint}?fal_webhook={quote(webhook, safe='')}"


def list_url(base_url: str, endpoint: str, request_id: str, since: datetime) -> str | None:
    """Spell where fal's list of requests tells of one, with what it gave; None where endpoint or id cannot be fal's.

    Without `since` (timezone-aware) the list would go back no further than a day.
    """
    if not is_endpoint(endpoint) or not _is_request_id(request_id):
        return None
    query = {
        "endpoint_id": endpoint,
        "request_id": request_id,
        "expand": "payloads",
        "start": f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    return f"{base_url.rstrip('/')}{LIST_PATH}?{urlencode(query, errors='replace')}"


def same_origin(url: str, base_url: str) -> bool:
    """Tell whether an address that was handed to us leads to `base_url`'s scheme, host and port, without userinfo.

    Only such a one is asked, be it from an answer of fal's own: our key travels with the question.
    """
    origin = _origin(url)
    return origin is not None and origin == _origin(base_url)


def names_request(url: str, request_id: str) -> bool:
    """Tell whether a segment of the address is this request id: another job's address would tell of that job."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return False
    return _is_request_id(request_id) and _quoted(request_id) in path.split("/")


def _is_request_id(text: str) -> bool:
    return len(text) <= ID_LIMIT and bool(text.strip("."))


def _quoted(request_id: str) -> str:
    return quote(request_id, safe="", errors="replace")


def _origin(url: str) -> tuple[str, str, int] | None:
    # What parsers disagree about is no address of fal's: backslashes, blanks, control characters, other scripts.
    if not url.isascii() or not url.isprintable() or "\\" in url or " " in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port
