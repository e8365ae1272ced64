"""The limit of open files at the start."""

import resource

import pytest
from structlog.testing import capture_logs

from app.server.open_files import OWN, make_room

FOREVER = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "fitting"),
    [
        (1024, 4096, 1000 + OWN, 1000),
        (1024, FOREVER, 1000 + OWN, 1000),
        (4096, 4096, None, 1000),
        (FOREVER, FOREVER, None, 1000),
        (256, 1024, 1024, 1024 - OWN),
        (64, 64, 64, 32),
    ],
)
def test_there_are_never_more_connections_than_files(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised: int | None, fitting: int
) -> None:
    """The soft limit is raised as far as the hard one lets it; what then does not fit is not taken (fault 13)."""
    asked: list[int] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, limits: asked.append(limits[0]))
    with capture_logs() as lines:
        assert make_room(1000) == fitting
    assert asked == ([] if raised is None else [raised])
    assert [line["event"] for line in lines] == ([] if fitting == 1000 else ["server.too_few_files"])
