"""/metrics: who may read it, and that it tells the truth in Prometheus' format."""

import asyncio
import re
import shutil
import subprocess

import pytest

from app.db.engine import Database
from app.domain.errors import DatabaseUnavailable
from app.routers.metric_catalog import CATALOG
from app.twins import bodies
from tests.routers.conftest import Serve, Served

pytestmark = pytest.mark.anyio

TOKEN = "m" * 32
HERE = "127.0.0.1"


def read(text: str) -> dict[str, float]:
    """Read every sample by its name and labels as they are spelt."""
    lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def scrape(served: Served, **headers: str) -> dict[str, float]:
    answer = await served.http.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    return read(answer.text)


async def test_every_metric_is_there_from_the_start(serve: Serve) -> None:
    """Each metric of the catalog but the certificate's, which plain HTTP has not, stands in the first answer."""
    async with serve(address=HERE) as served:
        answer = await served.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    told = set(re.findall(r"^# TYPE (\S+) ", answer.text, re.MULTILINE))
    assert told == {metric.name for metric in CATALOG} - {"aisha_webhook_certificate_not_after_timestamp_seconds"}


async def test_promtool_finds_no_fault(serve: Serve) -> None:
    """`promtool check metrics` says nothing about the answer."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool: apt install prometheus")
    async with serve(address=HERE) as served:
        request_id = bodies.job_id(1)
        await served.deliver(request_id, bodies.success(request_id))
        answer = await served.http.get("/metrics")
    command = [promtool, "check", "metrics"]
    judged = await asyncio.to_thread(
        lambda: subprocess.run(command, input=answer.content, capture_output=True, check=False)
    )
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, b"", b"")


async def test_known_labels_start_at_0(serve: Serve) -> None:
    """A counter that nothing has happened to is 0, not absent: its first increase is seen."""
    async with serve(address=HERE) as served:
        found = await scrape(served)
    for name in (
        'received_total{result="stored"}',
        'refused_total{reason="signature_invalid"}',
        'applied_total{kind="training",outcome="completed"}',
        'telegram_sends_total{kind="ready",outcome="sent"}',
        'fal_requests_total{endpoint="status",outcome="2xx"}',
        'reconcile_recovered_total{kind="training"}',
        'operations_total{operation="redrive",via="cli"}',
        'deliveries{state="dead"}',
        'training_duration_seconds_count{trainer="portrait"}',
        'alerts_open{level="critical"}',
    ):
        assert found[f"aisha_webhook_{name}"] == 0, name
    assert not [name for name in found if name.endswith("_created")]


async def test_deliveries_are_counted_by_what_became_of_them(serve: Serve) -> None:
    """One stored, its repeat, one refused and one probe: each under its own name."""
    async with serve(address=HERE) as served:
        request_id = bodies.job_id(1)
        body = bodies.success(request_id)
        await served.deliver(request_id, body)
        await served.deliver(request_id, body)
        await served.deliver(request_id, body, timestamp=1)
        await served.post(b'{"test": true}')
        found = await scrape(served)
    counted = {name: found[f'aisha_webhook_received_total{{result="{name}"}}'] for name in ("stored", "repeated")}
    assert counted == {"stored": 1, "repeated": 1}
    assert found['aisha_webhook_received_total{result="probed"}'] == 1
    assert found['aisha_webhook_received_total{result="refused"}'] == 1
    assert found['aisha_webhook_refused_total{reason="timestamp_outside_window"}'] == 1
    assert found["aisha_webhook_accept_duration_seconds_count"] == 2
    assert found["aisha_webhook_commit_rows_sum"] == 2


async def test_without_the_database_the_rest_is_told(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of the process are answered, the database's are left out, not 0, and the gap is counted."""

    async def broken(_self: Database, *_: object) -> None:
        raise DatabaseUnavailable("gone")

    async with serve(address=HERE) as served:
        monkeypatch.setattr(Database, "read", broken)
        found = await scrape(served)
    assert found["aisha_webhook_collection_errors_total"] == 1
    assert 'aisha_webhook_received_total{result="stored"}' in found
    assert not [name for name in found if name.startswith("aisha_webhook_deliveries")]


async def test_without_a_token_this_machine_may_read(serve: Serve) -> None:
    """A loopback peer reads; any other peer is refused by name."""
    async with serve(address="203.0.113.7") as served:
        answer = await served.http.get("/metrics")
    assert (answer.status_code, answer.json()["code"]) == (403, "metrics_closed")
    async with serve(address="::1") as served:
        assert (await served.http.get("/metrics")).status_code == 200


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Proto"])
async def test_what_a_proxy_passes_on_is_not_this_machine(serve: Serve, name: str) -> None:
    """A header that a proxy adds closes the page, even where it names a loopback address."""
    async with serve(address=HERE) as served:
        answer = await served.http.get("/metrics", headers={name: HERE})
    assert answer.status_code == 403


async def test_with_a_token_everybody_needs_it(serve: Serve) -> None:
    """With METRICS_TOKEN set loopback is asked for it, too; the right one opens the page from anywhere."""
    async with serve(address=HERE, metrics_token=TOKEN) as served:
        refused = await served.http.get("/metrics")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        wrong = await served.http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}x"})
        assert wrong.json()["code"] == "token_wrong"
    async with serve(address="203.0.113.7", metrics_token=TOKEN) as served:
        await scrape(served, authorization=f"Bearer {TOKEN}")


async def test_wrong_tokens_are_rationed(serve: Serve) -> None:
    """After twenty wrong tokens from one address the answer is 429; the right one is never refused."""
    async with serve(address="203.0.113.7", metrics_token=TOKEN) as served:
        answers = [await served.http.get("/metrics") for _ in range(21)]
        assert [answer.status_code for answer in answers] == [401] * 20 + [429]
        await scrape(served, authorization=f"Bearer {TOKEN}")
