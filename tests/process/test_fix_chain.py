"""From "unable to get local issuer certificate" to a chain that curl trusts, with the real server and the real curl."""

import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner, Result

from app.cli.main import app
from app.core.exit_codes import Exit
from tests.authorities import Lineage, issue
from tests.process.conftest import StartServer

UNTRUSTED = 60  # curl's exit code
NAMES = ["localhost", "aibots.kz"]
SERVED_WITHIN = 30  # s; the server looks at the files every few seconds

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is what is being convinced")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def published(folder: Path) -> Iterator[str]:
    """An authority's web server: the files of `folder` over plain http on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.fixture(name="lineage")
def _lineage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lineage]:
    """A leaf without its intermediate, which its authority publishes; the system trusts the authority's root."""
    folder, site = tmp_path / "ssl", tmp_path / "site"
    folder.mkdir()
    site.mkdir()
    with published(site) as url:
        since = datetime.now(UTC) - timedelta(days=1)  # noqa: TID251  curl and the command read this machine's clock
        lineage = Lineage(folder, names=NAMES, address=f"{url}/middle.der", since=since)
        lineage.paths.ca_bundle.unlink()
        (site / "middle.der").write_bytes(lineage.middle.der)
        root = tmp_path / "root.pem"
        root.write_bytes(lineage.root.pem)
        monkeypatch.chdir(tmp_path)
        for name, value in {**environment(lineage), "SSL_CERT_FILE": str(root)}.items():
            monkeypatch.setenv(name, value)
        yield lineage


def environment(lineage: Lineage) -> dict[str, str]:
    return {
        "SSL_CERT_PATH": str(lineage.paths.cert),
        "SSL_KEY_PATH": str(lineage.paths.key),
        "SSL_CA_BUNDLE_PATH": str(lineage.paths.ca_bundle),
        "DEFAULT_LANGUAGE": "en",
    }


def call(*words: str) -> Result:
    return CliRunner().invoke(app, words)


async def curl(url: str, root: Path) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", str(root), url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.mark.anyio
async def test_curl_trusts_the_server_after_the_repair(
    lineage: Lineage, tmp_path: Path, sqlite_url: str, start_server: StartServer
) -> None:
    """curl without -k refuses the leaf alone, `cert fix-chain` fetches the intermediate, curl is content (fault 39)."""
    root = tmp_path / "root.pem"
    async with start_server(sqlite_url, **environment(lineage)) as server:
        health = f"https://localhost:{urlsplit(server.url).port}/health"
        code, said = await curl(health, root)
        assert code == UNTRUSTED
        assert "unable to get local issuer certificate" in said

        mended = await asyncio.to_thread(call, "cert", "fix-chain")
        assert mended.exit_code == Exit.OK, mended.output
        assert "repair.chain" in mended.output

        async with asyncio.timeout(SERVED_WITHIN):
            while (answer := await curl(health, root))[0] == UNTRUSTED:  # noqa: ASYNC110  another process is waited for
                await asyncio.sleep(0.2)
        assert answer[0] == 0
        assert json.loads(answer[1])["status"] == "healthy"


def test_fix_chain_says_when_nothing_can_be_fetched(lineage: Lineage, tmp_path: Path) -> None:
    """With the authority's server empty the command ends with 69, names the address, and changes nothing."""
    (tmp_path / "site" / "middle.der").unlink()
    before = lineage.paths.cert.read_bytes()
    result = call("cert", "fix-chain")
    assert result.exit_code == Exit.REMOTE_DOWN
    assert "repair.not_fetched" in result.output
    assert "/middle.der" in result.output
    assert lineage.paths.cert.read_bytes() == before


def test_fix_chain_refuses_another_authoritys_certificate(lineage: Lineage, tmp_path: Path) -> None:
    """What lies at the address but did not sign is not adopted."""
    (tmp_path / "site" / "middle.der").write_bytes(issue("Test Intermediate").der)
    before = lineage.paths.cert.read_bytes()
    assert call("cert", "fix-chain").exit_code == Exit.REMOTE_DOWN
    assert lineage.paths.cert.read_bytes() == before


def test_fix_chain_does_nothing_twice(lineage: Lineage) -> None:
    """The second call finds everything in order and leaves the files alone."""
    assert call("cert", "fix-chain").exit_code == Exit.OK
    before = sorted(path.name for path in lineage.paths.cert.parent.iterdir())
    again = call("cert", "fix-chain")
    assert again.exit_code == Exit.OK
    assert "nothing to mend" in again.output
    assert sorted(path.name for path in lineage.paths.cert.parent.iterdir()) == before


def test_fix_chain_names_files_that_cannot_be_served(lineage: Lineage) -> None:
    """A broken file ends it with 78, naming file, cause and command (fault 40)."""
    lineage.paths.key.write_bytes(b"")
    result = call("cert", "fix-chain")
    assert result.exit_code == Exit.CONFIG
    assert "files.empty" in result.output


def test_cert_status_judges_the_dates(lineage: Lineage) -> None:
    """`cert status` shows the verdict on the dates, and in JSON nothing but JSON: a list is a list there."""
    since = datetime.now(UTC) - timedelta(days=89)  # noqa: TID251  the command reads this machine's clock
    lineage.give(since=since, until=since + timedelta(days=90))
    shown = json.loads(call("cert", "status", "--json").stdout)
    assert shown["dates"] == "fail"
    assert isinstance(shown["names"], list)
    assert "less than a sixth" in shown["dates_verdict"]
    assert "less than a sixth" in call("cert", "status").stdout


def test_cert_status_speaks_one_language(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of its fields and what is said of them are Russian where that is set; JSON's names are JSON's."""
    lineage.give()
    monkeypatch.setenv("DEFAULT_LANGUAGE", "ru")
    lines = call("cert", "status").stdout.splitlines()
    assert [line for line in lines if not re.match("[а-я]", line)] == []
    assert "self_signed" in json.loads(call("cert", "status", "--json").stdout)
