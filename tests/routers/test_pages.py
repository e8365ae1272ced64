"""Health, totals, the root, documentation, hosts."""

import hashlib
import re
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from itertools import product
from pathlib import Path

import pytest

from app import __version__
from app.db.engine import Database
from app.domain.errors import DatabaseUnavailable
from app.domain.steps import StepReason, StepTrouble
from app.flows.steps import Steps
from app.routers.health import OPEN_PATHS
from app.twins import bodies
from tests.fakes import START
from tests.routers.conftest import Serve, Served

pytestmark = pytest.mark.anyio

STATIC = Path(__file__).parents[2] / "app" / "static"


async def test_health_is_exactly_the_owners_answer(served: Served) -> None:
    """To the byte, as the owner's page shows it."""
    answer = await served.http.get("/health")
    assert (answer.status_code, answer.content) == (
        200,
        b'{"status":"healthy","service":"Aisha Bot FAL Webhook API"}',
    )


async def test_the_service_can_be_renamed(serve: Serve) -> None:
    """SERVICE_NAME changes the name and nothing else."""
    async with serve(service_name="Bot") as served:
        assert (await served.http.get("/health")).json() == {"status": "healthy", "service": "Bot"}


async def test_ready_means_that_deliveries_can_be_stored(served: Served) -> None:
    """The database and nothing else: a replica whose worker fails still stores, so it stays in service (I9)."""
    answer = await served.http.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "ready", "checks": {"database": "ok"}},
    )


async def test_without_the_database_it_is_alive_but_not_ready(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Liveness asks nobody; readiness says what is missing."""

    async def broken(_self: Database, *_: object) -> None:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(Database, "read", broken)
    monkeypatch.setattr(Database, "write", broken)
    assert (await served.http.get("/livez")).status_code == 200
    assert (await served.http.get("/health")).status_code == 200
    for path in ("/readyz", "/api/v1/health"):
        answer = await served.http.get(path)
        assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "unavailable")
    assert (await served.http.get("/api/v1/webhook/status")).status_code == 503


async def test_missing_keys_do_not_make_it_unready(serve: Serve) -> None:
    """fal's trouble is shown, not ours to restart for."""
    async with serve(fal_jwks_urls=("http://127.0.0.1:9/jwks.json",)) as served:
        answer = await served.http.get("/api/v1/health")
        assert (answer.status_code, answer.json()["checks"]["keys"]) == (200, "missing")
        assert (await served.http.get("/readyz")).status_code == 200


async def test_the_status_counts_without_naming(served: Served) -> None:
    """Totals of what happened; no request id is in them."""
    request_id = bodies.job_id(7)
    await served.deliver(request_id, bodies.success(request_id))
    await served.deliver(request_id, bodies.success(request_id))
    answer = await served.http.get("/api/v1/webhook/status")
    totals = answer.json()
    assert sum(totals["deliveries"].values()) == 1
    assert totals["duplicates"] == 1
    assert totals["last_delivery"] is not None
    assert request_id not in answer.text


async def test_the_root_says_what_this_is(served: Served) -> None:
    """Service, version, status, ssl, endpoints."""
    told = (await served.http.get("/")).json()
    assert (told["version"], told["status"], told["ssl"]) == (__version__, "running", False)
    assert told["endpoints"]["webhook"] == "/api/v1/avatar/status_update"


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc", "/docs/assets/swagger-ui.css"])
async def test_documentation_is_off_by_default(served: Served, path: str) -> None:
    """API_DEBUG opens it, nothing else."""
    assert (await served.http.get(path)).status_code == 404


async def test_documentation_takes_no_file_from_elsewhere(serve: Serve) -> None:
    """Every address in the page is our own and answers."""
    async with serve(api_debug=True) as served:
        page = (await served.http.get("/docs")).text
        addresses = re.findall(r"""(?:src|href)="([^"]+)""", page)
        assert [address for address in addresses if "//" in address] == []
        for address in addresses:
            if not address.startswith("data:"):
                assert (await served.http.get(address)).status_code == 200
        assert "/api/v1/avatar/status_update" in (await served.http.get("/openapi.json")).json()["paths"]


async def test_documentation_runs_only_its_own_scripts(serve: Serve) -> None:
    """The policy names each inline script by its digest, and allows no other."""
    async with serve(api_debug=True) as served:
        answer = await served.http.get("/docs")
    policy = answer.headers["content-security-policy"]
    [script] = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert "frame-ancestors 'none'" in policy


async def test_every_page_is_closed_to_browsers(served: Served) -> None:
    """Nothing is kept, run or framed."""
    answer = await served.http.get("/health")
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_files_of_others_are_unchanged() -> None:
    """What was taken from elsewhere is what its page says."""
    listed = re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (STATIC / "VENDORED.md").read_text(), re.MULTILINE)
    assert listed
    for name, digest in listed:
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest


async def test_another_host_is_refused(served: Served) -> None:
    """The Host header must be one of ALLOWED_HOSTS (fault 37)."""
    for host in ["evil.example", "aibots.kz.evil.example", "aibots.kz@evil.example", ""]:
        answer = await served.http.get("/", headers={"Host": host})
        assert (answer.status_code, answer.json()["code"]) == (400, "host_not_allowed"), host


async def test_health_is_told_whatever_the_host(served: Served) -> None:
    """Monitors and load balancers ask by an address: the four health paths look at no Host (fault 37)."""
    for path, method, host in product(
        OPEN_PATHS, ["GET", "HEAD"], ["evil.example", "203.0.113.7:8443", "aibots.kz@evil.example", "[::1", ""]
    ):
        answer = await served.http.request(method, path, headers={"Host": host})
        assert answer.status_code in (200, 503), (
            path,
            method,
            host,
        )  # 503 is what /readyz says of a worker that has not begun


async def test_no_other_path_is_open_to_every_host(served: Served) -> None:
    """The open paths are exact, and a POST to them is not open (fault 37)."""
    for path in ["/health/", "//health", "/HEALTH", "/%68ealth", "/healthz", "/api/v1/webhook/status"]:
        assert (await served.http.get(path, headers={"Host": "evil.example"})).status_code == 400, path
        assert (await served.http.post("/health", headers={"Host": "evil.example"})).status_code == 400, path


async def test_head_is_get_without_its_body(serve: Serve) -> None:
    """HEAD answers the status and the headers of GET, its length included, and no body."""
    async with serve(api_debug=True) as served:
        for path in ("/", *OPEN_PATHS, "/api/v1/webhook/status", "/docs", "/openapi.json", "/nowhere"):
            whole, bare = await served.http.get(path), await served.http.head(path)
            assert bare.status_code == whole.status_code, path
            assert dict(bare.headers) == {**whole.headers, "content-length": bare.headers["content-length"]}, path
            assert bare.content == b"", path


async def test_a_refused_method_names_head_beside_get(served: Served) -> None:
    """Allow of a page lists HEAD and GET; the webhook's own stays POST."""
    assert (await served.http.post("/health")).headers["allow"] == "GET, HEAD"
    assert (await served.http.head("/api/v1/avatar/status_update")).headers["allow"] == "POST"


async def test_the_site_itself_may_read_across_origins(served: Served) -> None:
    """CORS answers the origins of CORS_ORIGINS and no other."""
    own = await served.http.get("/health", headers={"Origin": "https://aibots.kz"})
    assert own.headers["access-control-allow-origin"] == "https://aibots.kz"
    other = await served.http.get("/health", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


async def test_a_failing_step_makes_health_unhealthy_and_nothing_else(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named with its reason in words; /health and /readyz go on saying 200; it clears itself (I9)."""
    trouble = StepTrouble("recount", StepReason.BUG, "KeyError", START, START + timedelta(seconds=20), 4)
    with monkeypatch.context() as failing:
        failing.setattr(Steps, "failing", lambda _self: (trouble,))
        answer = await served.http.get("/api/v1/health")
        assert (answer.status_code, answer.json()["checks"]["worker"]) == (503, "failing")
        assert answer.json()["failing"] == [
            {
                "step": "recount",
                "reason": "bug",
                "detail": "an error of the program (KeyError)",
                "since": START.isoformat(),
                "times": 4,
            }
        ]
        for path in ("/health", "/livez", "/readyz"):
            assert (await served.http.get(path)).status_code == 200
    answer = await served.http.get("/api/v1/health")
    assert (answer.status_code, answer.json()["failing"]) == (200, [])
