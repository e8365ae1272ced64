"""The doctor as an operator calls it: the command, its exit codes, and the script that is easy to remember."""

import functools
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner, Result

from app.cli.doctor import verdict, visit
from app.cli.main import app, main
from app.core.clock import SystemClock
from app.core.setting_loader import load_settings
from app.doctor.finding import Finding, Level
from app.doctor.host.asking import Reply, Target, ask
from app.doctor.host.commands import run
from app.doctor.machine import Machine
from app.doctor.tls.examination import examine_files
from tests.authorities import DOMAIN, Lineage
from tests.process.conftest import Outside, StartServer

ROOT = Path(__file__).parents[2]
PATH = "/api/v1/avatar/status_update"
GIB = 1 << 30
NOBODY = "http://127.0.0.1:1"
QUIET = {
    "PATH": "/usr/bin:/bin",
    "DEFAULT_LANGUAGE": "en",
    "API_DOMAIN": "localhost",
    "API_PORT": "1",
    "FAL_JWKS_URLS": NOBODY,
    "FAL_QUEUE_URL": NOBODY,
    "FAL_STORAGE_URL": NOBODY,
    "FAL_API_URL": NOBODY,
}


@dataclass
class Room:
    total: int = 100 * GIB
    free: int = 50 * GIB


def ask_here(target: Target, method: str, path: str, body: bytes | None) -> Reply:
    """The public name leads to this machine, as it would through DNS."""
    return ask(Target("127.0.0.1", target.port, target.name, target.tls), method, path, body)


@pytest.mark.anyio
async def test_a_healthy_installation_has_no_fail(
    outside: Outside, start_server: StartServer, sqlite_url: str, tmp_path: Path
) -> None:
    """A running server with a trusted chain, live twins and nothing in the way: every finding is ok."""
    folder = tmp_path / "ssl"
    folder.mkdir()
    lineage = Lineage(folder, since=SystemClock().now() - timedelta(days=1))
    changes = {
        "API_DOMAIN": DOMAIN,
        "ALLOWED_HOSTS": f"{DOMAIN},localhost",
        "SSL_CERT_PATH": str(lineage.paths.cert),
        "SSL_KEY_PATH": str(lineage.paths.key),
        "SSL_CA_BUNDLE_PATH": str(lineage.paths.ca_bundle),
    }
    async with start_server(sqlite_url, **changes) as server:
        port = urlsplit(server.url).port
        environment = {
            **outside.environment(sqlite_url),
            **changes,
            "API_HOST": "0.0.0.0",
            "API_PORT": str(port),
            "FAL_WEBHOOK_URL": f"https://{DOMAIN}:{port}{PATH}",
            "OPERATOR_CHAT_ID": "1",
            "DATA_DIR": str(tmp_path),
            "LOG_DIR": str(tmp_path),
        }
        settings = load_settings(None, environment)
        machine = Machine(
            run=lambda words: run(words) if words[0] == "git" else None,
            resolve=lambda _: ["93.184.216.34"],
            ask=ask_here,
            usage=lambda _: Room(),
            examine_files=functools.partial(examine_files, roots=lineage.roots),
            patience=20,
            env_file=tmp_path / ".env",
            hosts_file=tmp_path / "hosts",
            nginx_folder=tmp_path / "nginx",
        )
        _, found = await visit(settings, machine, only_tls=False, fix=False)
    assert {one.level for one in found} == {Level.OK}, [str(one) for one in found if one.level is not Level.OK]
    assert {"port.ours", "webhook.answers", "trust.ok", "served.ok", "telegram.ok"} <= {one.code for one in found}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to examine: no settings, no files, and nobody on the port."""
    folder = tmp_path / "installation"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    return folder


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *words])


def call_script(script: Path, folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(script), *words],
        cwd=folder,
        env={**QUIET, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def codes(output: str) -> list[str]:
    rows: list[dict[str, Any]] = json.loads(output)
    assert all(list(row) == ["code", "level", "text", "remedy", "command", "fixable"] for row in rows)
    return [row["code"] for row in rows]


@pytest.mark.usefixtures("folder")
def test_a_fail_ends_with_one() -> None:
    """Nobody listens and there is no pair: exit 1, and the last line names the next step."""
    done = call("tls")
    assert done.exit_code == 1, done.output
    assert "[port.silent]" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Next: ")


@pytest.mark.usefixtures("folder")
def test_json_is_a_list_of_findings() -> None:
    """--json writes the documented shape and nothing else."""
    done = call("tls", "--json")
    assert "port.silent" in codes(done.stdout)
    assert done.exit_code == 1


@pytest.mark.usefixtures("folder")
def test_wrong_settings_are_shown_with_78(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that cannot be read end with 78 and are named, as text and as JSON."""
    monkeypatch.setenv("API_PORT", "many")
    monkeypatch.setattr(sys, "argv", ["aisha-webhook", "doctor"])
    told = io.StringIO()
    monkeypatch.setattr(sys, "stderr", told)
    with pytest.raises(SystemExit) as left:
        main()
    assert (left.value.code, "API_PORT" in told.getvalue()) == (78, True)
    done = call("--json")
    assert (done.exit_code, codes(done.stdout)) == (78, ["settings.invalid"])


@pytest.mark.usefixtures("folder")
def test_an_unknown_part_is_usage() -> None:
    """A part that does not exist ends with 2."""
    assert call("teeth").exit_code == 2


@pytest.mark.parametrize(
    ("level", "strict", "code"),
    [
        (Level.OK, True, 0),
        (Level.WARN, False, 0),
        (Level.WARN, True, 1),
        (Level.FAIL, False, 1),
    ],
)
def test_the_worst_finding_is_the_exit_code(level: Level, strict: bool, code: int) -> None:
    """A fail ends with 1, a warning only with --strict."""
    assert verdict([Finding("a", Level.OK, ""), Finding("b", level, "")], strict=strict) == code


@pytest.mark.usefixtures("folder")
def test_a_pipe_gets_no_colours() -> None:
    """Into a pipe or a file no escape sequence is written."""
    assert "\x1b" not in call("tls").stdout


@pytest.mark.usefixtures("folder")
def test_russian_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without DEFAULT_LANGUAGE the operator is spoken to in Russian."""
    monkeypatch.delenv("DEFAULT_LANGUAGE")
    assert "Итого:" in call("tls").stdout


def test_looking_makes_no_file(folder: Path) -> None:
    """The doctor leaves an empty folder empty: no database, no certificate, no log."""
    call()
    assert list(folder.iterdir()) == []


def test_the_script_works_from_anywhere(folder: Path) -> None:
    """fix_ssl_certificate.sh finds its project from another folder and passes its arguments on."""
    done = call_script(ROOT / "fix_ssl_certificate.sh", folder, "--json", PYTHON=sys.executable)
    assert done.returncode in (0, 1), done.stderr
    assert "port.silent" in codes(done.stdout)


def test_the_script_says_how_to_make_its_environment(folder: Path) -> None:
    """Where no Python has what it needs, the script names the command that makes it."""
    script = folder / "fix_ssl_certificate.sh"
    script.write_bytes((ROOT / "fix_ssl_certificate.sh").read_bytes())
    script.chmod(0o755)
    done = call_script(script, folder)
    assert (done.returncode, "make setup" in done.stderr) == (78, True)
