"""The server in odd environments: each is worked in or refused in a sentence, never by a traceback or in silence.

The rows of docs/environments.md; those of SLOW run with E2E=full.
"""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.docs.project import between, page, rows

ROOT = Path(__file__).resolve().parents[2]
SERVER = f"{sys.executable} {ROOT / 'run_api_server.py'}"
COMMAND = f"{sys.executable} -m app.cli"
FULL = os.environ.get("E2E") == "full"  # noqa: TID251  a setting of the tests, not of the server
UP = "startup complete"  # in the log, once the server is up
WITHIN = 60.0  # s; a machine that tests on every core is slow
BASE = {
    "PYTHONPATH": str(ROOT),
    "API_HOST": "127.0.0.1",
    "API_PORT": "0",
    "SSL_ENABLED": "false",
    "FAL_JWKS_URLS": "http://127.0.0.1:9/jwks.json",
    "FAL_API_URL": "http://127.0.0.1:9",
    "DEFAULT_LANGUAGE": "en",
}


def nothing(_folder: Path) -> None:
    """Leave the folder as it is."""


def env_file(content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / ".env").write_bytes(content)
        (folder / ".env").chmod(0o600)

    return write


def strange(folder: Path) -> None:
    os.mkfifo(folder / ".env")


def broken_openssl(folder: Path) -> None:
    (folder / "openssl.cnf").write_text("openssl_conf = a\n[a\nb =\n")


def trusting_nobody(folder: Path) -> None:
    (folder / "roots.pem").write_text("-----BEGIN CERTIFICATE-----\n")


@dataclass(frozen=True)
class Environment:
    """How a process is started, and how it ends: `code` with `said` on stderr, or up until SIGTERM where code is 0."""

    code: int = 0
    said: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    line: str = f"exec {SERVER}"
    folder: bytes = b"here"
    before: Callable[[Path], None] = nothing
    shown: str = ""  # on stdout


QUICK = {
    "socks": Environment(variables={"ALL_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": "localhost,[::1"}),
    "bad-proxy": Environment(78, "HTTPS_PROXY (environment)", {"HTTPS_PROXY": "socks4://u:pw@h:1"}),
    "env-proxy": Environment(78, "ALL_PROXY (.env line 1)", before=env_file(b"ALL_PROXY=ftp://h\r\n")),
    "no-roots": Environment(78, "SSL_CERT_FILE (environment)", {"SSL_CERT_FILE": "roots.pem"}, before=trusting_nobody),
    "ascii": Environment(
        variables={"PYTHONIOENCODING": "ascii", "DEFAULT_LANGUAGE": "ru"}, shown=r"\u0421\u0435\u0440\u0432\u0435\u0440"
    ),
    "closed": Environment(line=f"exec {SERVER} <&- >&- 2>&-"),
    "full": Environment(line=f"exec {SERVER} >/dev/full 2>/dev/full"),
    "env-fifo": Environment(78, "not a regular file", before=strange),
    "odd-folder": Environment(folder=b" \xff\xfe \xd0\xb0\n%41 'x' $HOME", variables={"SSL_ENABLED": "true"}),
    "old-python": Environment(
        1,
        "Python 3.11 or newer is needed, and this is 3.9.1",
        line=f'exec {sys.executable} -c \'import sys; sys.version, sys.version_info = "3.9.1 (main)", (3, 9, 1); '
        "from app.core.lean_start import begin; begin()'",
    ),
    "no-packages": Environment(78, "make setup", line=f"exec {sys.executable} -S {ROOT / 'run_api_server.py'}"),
    "command-closed": Environment(
        1, "could not be written: Bad file descriptor", line=f"{COMMAND} config env-example >&-"
    ),
    "command-full": Environment(1, "could not be written: No space", line=f"{COMMAND} config env-example >/dev/full"),
    "command-reader-gone": Environment(
        0, line=f"set -o pipefail; {COMMAND} config env-example | head -n 1", shown="# Настройки"
    ),
    "command-odd-path": Environment(78, "/nope: No such file", line=f"{COMMAND} config readme /nope"),
}
SLOW = {
    "koi8": Environment(variables={"PYTHONIOENCODING": "koi8-r", "DEFAULT_LANGUAGE": "ru"}),
    "c-locale": Environment(variables={"LC_ALL": "C", "DEFAULT_LANGUAGE": "ru"}, shown="Сервер"),
    "unknown-locale": Environment(variables={"LC_ALL": "xx_YY.UTF-8"}),
    "no-coercion": Environment(variables={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
    "unknown-encoding": Environment(1, "unknown encoding", {"PYTHONIOENCODING": "nonsense"}),
    "key-log": Environment(variables={"SSLKEYLOGFILE": "/nonexistent/keys", "SSL_ENABLED": "true"}),
    "openssl-config": Environment(
        variables={"OPENSSL_CONF": "openssl.cnf", "SSL_ENABLED": "true"}, before=broken_openssl
    ),
    "roots-folder": Environment(78, "SSL_CERT_DIR (environment)", {"SSL_CERT_DIR": "/nonexistent:."}),
    "roots-empty": Environment(variables={"SSL_CERT_FILE": "", "SSL_CERT_DIR": " "}),
    "env-null": Environment(before=lambda folder: (folder / ".env").symlink_to("/dev/null")),
    "env-loop": Environment(78, "cannot be read", before=lambda folder: (folder / ".env").symlink_to(".env")),
    "env-utf16": Environment(78, "iconv", before=env_file("API_PORT=0\r\n".encode("utf-16"))),
    "env-bom": Environment(before=env_file(b"\xef\xbb\xbfSERVICE_NAME=x\r\nLOG_LEVEL=info\r")),
    "env-quotes": Environment(78, "without the quotes", before=env_file("SERVICE_NAME=„x“\n".encode())),
    "env-huge": Environment(78, "too large", before=env_file(b"# comment\n" * 200_000)),
    "env-nul": Environment(78, "unprintable", before=env_file(b"SERVICE_NAME=a\x00b\n")),
    "no-home": Environment(line=f"unset HOME; exec {SERVER}"),
    "home-missing": Environment(variables={"HOME": "/nonexistent"}),
    "home-tilde": Environment(78, "LOG_DIR", {"LOG_DIR": "~nobody-has-this-name/logs"}),
    "tmp-missing": Environment(variables={"TMPDIR": "/nonexistent", "SQLITE_TMPDIR": "/nonexistent"}),
    "no-path": Environment(line=f"unset PATH; exec {SERVER}"),
    "umask-077": Environment(line=f"umask 077; exec {SERVER}"),
    "few-files": Environment(line=f"ulimit -n 40; exec {SERVER}"),
    "no-core": Environment(line=f"ulimit -c 0 -s 512; exec {SERVER}"),
    "no-file-size": Environment(
        75, "data/aisha.db", line=f"set -o pipefail; (ulimit -f 0; exec {SERVER} 2>&1) | cat >&2"
    ),
    "signals-ignored": Environment(line=f"trap '' HUP INT PIPE; exec {SERVER}"),
    "folder-removed": Environment(78, "", line=f"mkdir gone; cd gone; rmdir ../gone; exec {SERVER}"),
    "log-is-folder": Environment(78, "logs/api_server.log", line=f"mkdir -p logs/api_server.log; exec {SERVER}"),
    "log-dir-is-file": Environment(78, "logs", line=f"touch logs; exec {SERVER}"),
    "data-is-file": Environment(78, "data", line=f"touch data; exec {SERVER}"),
    "log-full": Environment(line=f"mkdir logs; ln -s /dev/full logs/webhook.log; exec {SERVER}"),
    "time-zone": Environment(variables={"TZ": "Mars/Phobos"}),
    "warnings-are-errors": Environment(variables={"PYTHONWARNINGS": "error"}),
    "optimized": Environment(variables={"PYTHONOPTIMIZE": "2"}),
    "dev-mode": Environment(variables={"PYTHONDEVMODE": "1"}),
    "safe-path": Environment(variables={"PYTHONSAFEPATH": "1"}),
    "no-bytecode": Environment(variables={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}),
    "hash-seed": Environment(1, "PYTHONHASHSEED", {"PYTHONHASHSEED": "x"}),
    "foreign-socket": Environment(variables={"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x"}),
    "deaf-supervisor": Environment(variables={"NOTIFY_SOCKET": "/nonexistent/notify", "WATCHDOG_USEC": "x"}),
    "no-credentials": Environment(variables={"CREDENTIALS_DIRECTORY": "/nonexistent"}),
    "odd-terminal": Environment(variables={"TERM": "x\x1b[2J", "COLUMNS": "-1", "NO_COLOR": "1", "FORCE_COLOR": "1"}),
    "long-folder": Environment(folder=b"n" * 250),
    "percent-folder": Environment(folder=b"50%25?x#y&z;w:v"),
    "dash-folder": Environment(folder=b"-rf", variables={"SSL_ENABLED": "true"}),
    "foreign-host": Environment(78, "API_HOST", {"API_HOST": "192.0.2.1"}),
    "no-ipv6-scope": Environment(78, "API_HOST", {"API_HOST": "fe80::1"}),
    "libpq": Environment(variables={"PGHOST": "/nonexistent", "PGSERVICE": "x", "PGSSLMODE": "nonsense"}),
}
ALL = QUICK | SLOW
CHOSEN = ALL if FULL else QUICK


def start(row: Environment, tmp_path: Path) -> subprocess.Popen[bytes]:
    folder = os.fsencode(tmp_path) + b"/" + row.folder
    Path(os.fsdecode(folder)).mkdir()
    row.before(Path(os.fsdecode(folder)))
    inherited = {name: os.environ[name] for name in ("PATH", "HOME")}  # noqa: TID251  for the child
    with (tmp_path / "stdout").open("wb") as stdout, (tmp_path / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            ["/bin/bash", "-c", row.line],
            cwd=folder,
            env={**inherited, **BASE, **row.variables},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )


def wait(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server is up or has ended."""
    end = time.monotonic() + WITHIN
    while process.poll() is None and not (log.is_file() and UP in log.read_text()):
        assert time.monotonic() < end, "neither up nor ended"
        time.sleep(0.05)


@pytest.mark.parametrize("name", CHOSEN)
def test_an_environment_is_worked_in_or_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    """Whatever surrounds it, it works until it is told to stop, or says in one sentence why it does not (fault 60)."""
    row = ALL[name]
    with start(row, tmp_path) as process:
        log = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + row.folder)) / "logs" / "api_server.log"
        wait(process, log)
        if process.poll() is None:
            if row.shown:
                end = time.monotonic() + WITHIN
                while row.shown not in (tmp_path / "stdout").read_text(errors="replace") and time.monotonic() < end:
                    time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN) == row.code
    said = (tmp_path / "stderr").read_text(errors="replace")
    assert row.said in said
    assert row.shown in (tmp_path / "stdout").read_text(errors="replace")
    if not said.startswith("Fatal Python error"):
        assert not re.search("Traceback|Exception ignored|most recent call", said)
    if row.code == 78:
        assert sum(not re.match(r"\d{4}-\d\d-\d\dT", line) for line in said.splitlines()) == 1, said


def on_a_terminal(tmp_path: Path) -> tuple[int, int]:
    """Start the server as the leader of a session on a terminal of its own; return its pid and our end of that."""
    pid, ours = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        inherited = {name: os.environ[name] for name in ("PATH", "HOME")}  # noqa: TID251  for the child
        os.execve(sys.executable, [sys.executable, str(ROOT / "run_api_server.py")], {**inherited, **BASE})
    end = time.monotonic() + WITHIN
    log = tmp_path / "logs" / "api_server.log"
    while not (log.is_file() and UP in log.read_text()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return pid, ours


def code_of(pid: int) -> int:
    end = time.monotonic() + WITHIN
    while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0:
        assert time.monotonic() < end, "it lives on"
        time.sleep(0.05)
    return os.waitstatus_to_exitcode(ended[1])


def test_a_closed_terminal_ends_the_server_in_order(tmp_path: Path) -> None:
    """The window is closed: SIGHUP, and every write fails. It stops as for SIGTERM and frees the port (fault 60)."""
    pid, ours = on_a_terminal(tmp_path)
    os.close(ours)
    assert code_of(pid) == 0
    assert "server.terminal_closed" in (tmp_path / "logs" / "api_server.log").read_text()


def test_a_reload_on_a_living_terminal_is_a_reload(tmp_path: Path) -> None:
    """`kill -HUP` while the terminal is there reloads the certificate, and Ctrl-C, once or again, stops in order."""
    pid, ours = on_a_terminal(tmp_path)
    os.kill(pid, signal.SIGHUP)
    time.sleep(0.5)
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    told = bytearray()
    for _ in range(3):
        with suppress(OSError):  # the other end has gone
            os.write(ours, b"\x03")
    while (part := read(ours)) is not None:
        told += part
    assert code_of(pid) in (0, -signal.SIGINT)
    assert b"Traceback" not in told
    os.close(ours)


def read(terminal: int) -> bytes | None:
    """Read from the terminal; None once the other end has gone."""
    try:
        return os.read(terminal, 65536) or None
    except OSError:
        return None


@pytest.mark.parametrize("module", ["structlog", "app.db.tables", "app.server.run"])
def test_ctrl_c_during_the_start_is_no_traceback(module: str, tmp_path: Path) -> None:
    """Interrupted while it imports or migrates, it ends at once and says nothing that looks like a bug (fault 60)."""
    process = start(Environment(variables={"PYTHONPROFILEIMPORTTIME": "1"}), tmp_path)
    end = time.monotonic() + WITHIN
    while not re.search(rf"\| +{re.escape(module)}\n", (tmp_path / "stderr").read_text()):
        assert time.monotonic() < end
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    assert process.wait(WITHIN) in (0, -signal.SIGINT, 130)
    assert "Traceback" not in (tmp_path / "stderr").read_text()


def test_the_page_has_a_row_for_each(tmp_path: Path) -> None:
    """docs/environments.md lists every environment that is tried here, and no other."""
    del tmp_path
    told = [row[0].strip("`") for row in rows(between(page("docs/environments.md"), "environments"))]
    assert sorted(told) == sorted(ALL)
