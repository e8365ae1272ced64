"""What the server's process imports, from its first line to its end."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.db.migrate import migrate
from app.db.migrate_apart import Migration
from app.domain.errors import DatabaseUnavailable

ROOT = Path(__file__).resolve().parents[2]
# The list of imports holds those that failed, too: of rich, what lies below it tells.
FOREIGN = (
    "alembic", "mako", "typer", "rich.pretty", "rich.console", "psycopg", "sqlalchemy.dialects.postgresql",
    "aiohttp_socks", "python_socks", "app.doctor", "app.cli", "app.twins",
)  # fmt: skip
X509 = ("cryptography", "app.tls")
STARTS = {
    "script": [str(ROOT / "run_api_server.py")],
    "module": ["-m", "app.main"],
    "command": ["-m", "app.cli", "serve"],
}
# A process that migrates and says what it holds afterwards.
MIGRATING = """
import sys
from app.db.migrate_apart import Migration

Migration(sys.argv[1]).finish()
print(*sys.modules)
"""


def imported_by_a_server(folder: Path, start: list[str], *, tls: bool) -> tuple[set[str], str]:
    """Start a server in `folder`, stop it once it accepts connections.

    Returns the modules that it and the processes which it forked imported, and the libraries that itself holds.
    """
    migrate(f"sqlite:///{folder}/aisha.db")
    environment = {
        "PYTHONPATH": str(ROOT),
        "PYTHONPROFILEIMPORTTIME": "1",
        "API_HOST": "127.0.0.1",
        "API_PORT": "0",
        "SSL_ENABLED": str(tls).lower(),
        "DATABASE_URL": f"sqlite:///{folder}/aisha.db",
        "FAL_JWKS_URLS": "http://127.0.0.1:9/jwks.json",
        "FAL_API_URL": "http://127.0.0.1:9",
        "TELEGRAM_TOKEN": f"123456789:{'A' * 35}",
        "TELEGRAM_API_URL": "http://127.0.0.1:9",
    }
    errors = folder / "errors"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, *start], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as server,
    ):
        assert server.stdout is not None
        assert server.stdout.readline(), errors.read_text()
        mapped = Path(f"/proc/{server.pid}/maps").read_text()
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=20)
    assert server.returncode == 0, errors.read_text()
    lines = [line.rpartition("|")[2].strip() for line in errors.read_text().splitlines() if "import time:" in line]
    begin = len(lines) - lines[::-1].index("site")  # where a process became the server, its list begins anew
    return set(lines[begin:]), mapped


def of(packages: tuple[str, ...], modules: set[str]) -> set[str]:
    return {name for name in modules if any(name == package or name.startswith(f"{package}.") for package in packages)}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_the_servers_process_holds_what_serving_needs(tmp_path: Path, start: list[str]) -> None:
    """However it is started, the server's process imports no Alembic, typer, rich or doctor, and nothing for a database
    or a proxy that is not used.
    """
    modules, _ = imported_by_a_server(tmp_path, start, tls=True)
    assert {"app.server.run", "app.tls.live", "structlog.dev"} <= modules
    assert of(FOREIGN, modules) == set()


def test_x509_is_loaded_beside_the_server(tmp_path: Path) -> None:
    """The certificate that a server begins with is examined in another process: itself holds OpenSSL alone."""
    modules, libraries = imported_by_a_server(tmp_path, STARTS["script"], tls=True)
    assert "cryptography.x509" in modules
    assert "_ssl" in libraries
    assert "cryptography" not in libraries


def test_without_tls_nothing_of_x509_is_loaded(tmp_path: Path) -> None:
    """Behind a proxy that speaks TLS the process imports neither our reading of certificates nor cryptography."""
    modules, _ = imported_by_a_server(tmp_path, STARTS["script"], tls=False)
    assert "app.server.run" in modules
    assert of((*FOREIGN, *X509), modules) == set()


def test_who_has_migrated_apart_holds_no_alembic(tmp_path: Path) -> None:
    """A migration leaves its tables, and nothing of Alembic in the process that asked for it."""
    command = [sys.executable, "-c", MIGRATING, f"sqlite:///{tmp_path}/aisha.db"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert of(("alembic", "mako"), set(done.stdout.split())) == set()
    assert b"webhook_deliveries" in (tmp_path / "aisha.db").read_bytes()


def test_a_migration_apart_says_why_it_cannot(tmp_path: Path) -> None:
    """Where the database cannot be used, whoever waits is told what migrating here would have told him."""
    url = f"sqlite:///{tmp_path}"
    with pytest.raises(DatabaseUnavailable) as here:
        migrate(url)
    with pytest.raises(DatabaseUnavailable) as apart:
        Migration(url).finish()
    assert str(apart.value) == str(here.value) != ""


def test_nobody_pays_for_prometheus_before_it_is_asked_for() -> None:
    """The whole application is imported without prometheus_client: its memory is paid for by whoever asks."""
    asked = "import sys, app.application; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], cwd=ROOT, check=False).returncode == 0


def test_who_asks_for_no_page_pays_for_none() -> None:
    """The server's own modules load neither the pages nor what they are made with."""
    asked = "import sys, app.application; print([m for m in sys.modules if m.startswith(('jinja2', 'app.dashboard'))])"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(re.findall(r"'([^']+)'", found.stdout)) == {
        "app.dashboard",
        "app.dashboard.opening",
        "app.dashboard.parts",
    }
