"""The shipped units under a real systemd: Debian 12 in a container of systemd-nspawn, installed as the pages say."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from tests.e2e.machine import Machine, machine, missing
from tests.factories import BOT_TABLES
from tests.faults.cluster import start_cluster
from tests.faults.rig import tell

WHY = missing()
pytestmark = pytest.mark.skipif(WHY is not None, reason=str(WHY))

HOME = "/opt/aisha-backend"
UNIT = "aisha-webhook-api"
PORT = 18443  # the machine shares this machine's network
# It answers a moment before it tells systemd that it is ready.
SERVES = f"curl -skf -m 5 https://127.0.0.1:{PORT}/health && systemctl is-active -q {UNIT}"
INSTALL = f"""
cp -r /src {HOME} && cd {HOME}
python3 -m venv .venv
export PYTHONPATH=/tools UV_CACHE_DIR=/uv-cache UV_LINK_MODE=copy UV_SYSTEM_CERTS=true
python3 -m uv pip install -q --python .venv/bin/python --require-hashes -r requirements.txt
python3 -m uv pip install -q --python .venv/bin/python --no-deps -e .
unset PYTHONPATH
printf 'API_HOST=127.0.0.1\\nAPI_PORT={PORT}\\nAPI_DOMAIN=example.kz\\nDEFAULT_LANGUAGE=en\\n' > .env
.venv/bin/aisha-webhook migrate
"""


REPLICAS = (8444, 8445)
REPLICA_SETTINGS = "API_HOST=127.0.0.1\\nAPI_PORT=8444\\nSSL_ENABLED=false\\nDEFAULT_LANGUAGE=en\\n"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which the service was installed and started by the lines that `install systemd` prints."""
    with ExitStack() as stack:
        begun = time.monotonic()
        box = stack.enter_context(machine(tmp_path_factory.mktemp("machine")))
        booted = time.monotonic()
        box.sh(INSTALL)
        installed = time.monotonic()
        printed = box.sh(f"cd {HOME} && sudo .venv/bin/aisha-webhook install systemd")
        lines = [line.strip() for line in printed.splitlines() if line.strip().startswith("sudo ")]
        assert any("useradd" in line for line in lines), printed
        box.sh(f"cd {HOME}\n" + "\n".join(lines))
        box.until(SERVES)
        tell(
            "systemd",
            boot=f"{booted - begun:.0f} s",
            install=f"{installed - booted:.0f} s",
            start=f"{time.monotonic() - installed:.0f} s",
        )
        yield box


def shown(box: Machine, *names: str, unit: str = UNIT) -> dict[str, str]:
    lines = box.sh(f"systemctl show -p {','.join(names)} {unit}").splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_the_unit_is_ready_when_it_says_so(box: Machine) -> None:
    """Type=notify, the account and the watchdog stand; systemd shows the sentence of the server."""
    state = shown(box, "ActiveState", "Type", "User", "StatusText", "WatchdogUSec", "NRestarts")
    assert (state["ActiveState"], state["Type"], state["User"]) == ("active", "notify", "aisha")
    assert state["StatusText"].startswith("receiving on")
    assert (state["WatchdogUSec"], state["NRestarts"]) == ("1min", "0")


def test_a_delivery_is_stored_as_the_page_says(box: Machine) -> None:
    """`try` goes the whole way through the running service."""
    assert "whole way took" in box.sh(f"cd {HOME} && sudo -u aisha .venv/bin/aisha-webhook try")


def test_killed_it_comes_back_and_nobody_is_refused(box: Machine) -> None:
    """kill -9: a request sent at once waits in the socket and is answered by the next process (fault 1)."""
    before = shown(box, "MainPID")["MainPID"]
    begun = time.monotonic()
    box.sh(f"kill -9 {before}; curl -skf -m 60 https://127.0.0.1:{PORT}/health")
    tell("systemd", answered_after_kill=f"{time.monotonic() - begun:.1f} s")
    state = shown(box, "MainPID", "NRestarts")
    assert state["MainPID"] not in {before, "0"}
    assert state["NRestarts"] == "1"


def test_a_hung_server_is_restarted_by_the_watchdog(box: Machine) -> None:
    """A process that gives no sign of life within WatchdogSec is killed and started anew."""
    box.sh(
        f"mkdir -p /run/systemd/system/{UNIT}.service.d && "
        f"printf '[Service]\\nWatchdogSec=4\\n' > /run/systemd/system/{UNIT}.service.d/soon.conf && "
        f"systemctl daemon-reload && systemctl restart {UNIT}"
    )
    before = shown(box, "MainPID")["MainPID"]
    box.sh(f"kill -STOP {before}")
    box.until(f"test $(systemctl show -p MainPID --value {UNIT}) != {before} && {SERVES}", 60)
    assert "watchdog" in box.sh(f"journalctl -u {UNIT} --no-pager -o cat").lower()
    box.sh(f"rm -r /run/systemd/system/{UNIT}.service.d && systemctl daemon-reload && systemctl restart {UNIT}")
    box.until(SERVES)


def test_the_socket_holds_the_port_while_the_server_is_away(box: Machine) -> None:
    """While the service is stopped its port stays open; the first request starts it."""
    box.sh(f"systemctl stop {UNIT}.service && ss -ltn | grep -q :{PORT}")
    box.sh(f"curl -skf -m 60 https://127.0.0.1:{PORT}/health")
    box.until(SERVES)


def test_a_reload_keeps_the_process(box: Machine) -> None:
    """`systemctl reload` loads the certificate and changes no process."""
    before = shown(box, "MainPID")["MainPID"]
    box.sh(f"systemctl reload {UNIT}")
    assert shown(box, "MainPID")["MainPID"] == before


def test_a_credential_reaches_the_settings(box: Machine) -> None:
    """A token in the credential store is read by the service and stands in no environment of its process."""
    token = "12345:a-made-up-token-of-the-tests-012345"
    box.sh(
        f"install -d -m 700 /etc/credstore && printf '%s' '{token}' > /etc/credstore/aisha-webhook.TELEGRAM_TOKEN && "
        f"systemctl restart {UNIT}"
    )
    box.until(SERVES)
    process = shown(box, "MainPID")["MainPID"]
    assert token not in box.sh(f"tr '\\0' '\\n' < /proc/{process}/environ")
    assert "TELEGRAM_TOKEN" in box.sh(f"ls /run/credentials/{UNIT}.service")
    box.sh(f"rm /etc/credstore/aisha-webhook.TELEGRAM_TOKEN && systemctl restart {UNIT}")
    box.until(SERVES)


def test_what_root_sets_up_the_service_reads(box: Machine) -> None:
    """`setup` as root, over no `.env` at all: the service's group may read what was written, nobody else."""
    box.sh(f"mv {HOME}/.env /tmp/env.kept")
    said = box.sh(f"cd {HOME} && .venv/bin/aisha-webhook setup --account of-a-test --no-check")
    assert f"sudo systemctl restart {UNIT}" in said
    assert box.sh(f"stat -c '%a %U %G' {HOME}/.env") == "640 root aisha"
    shown = box.sh(f"cd {HOME} && sudo -u aisha .venv/bin/aisha-webhook config show --json")
    assert json.loads(shown)["FAL_USER_ID"] == "of-a-test"
    box.sh(f"mv /tmp/env.kept {HOME}/.env")


def test_the_timer_makes_a_backup(box: Machine) -> None:
    """The backup's timer is waiting, and its unit leaves a file when it is run."""
    assert shown(box, "ActiveState", unit=f"{UNIT[:-4]}-backup.timer")["ActiveState"] == "active"
    box.sh("systemctl start aisha-webhook-backup.service")
    assert box.sh(f"ls {HOME}/data/backups")


def test_an_upgrade_and_a_way_back(box: Machine) -> None:
    """New code and a restart, then the old code again: each time the service answers, and the database stays."""
    rows = f"cd {HOME} && sudo -u aisha .venv/bin/aisha-webhook deliveries list --json"
    before = json.loads(box.sh(rows) or "[]")
    box.sh(f"cp -r {HOME}/app /tmp/app.old && echo '# upgraded' >> {HOME}/app/__init__.py && systemctl restart {UNIT}")
    box.until(SERVES)
    box.sh(f"rm -r {HOME}/app && mv /tmp/app.old {HOME}/app && systemctl restart {UNIT}")
    box.until(SERVES)
    assert json.loads(box.sh(rows) or "[]") == before


def test_exposure_is_what_the_page_says(box: Machine) -> None:
    """systemd's own judgement of the running unit is at most 1.5."""
    words = box.sh(f"systemd-analyze security --no-pager {UNIT}.service | tail -1")
    found = re.search(r"([0-9.]+) OK", words)
    assert found, words
    assert float(found.group(1)) <= 1.5


def test_it_stops_in_order(box: Machine) -> None:
    """SIGTERM ends the service within its ten seconds, as a success."""
    begun = time.monotonic()
    box.sh(f"systemctl stop {UNIT}.socket {UNIT}.service")
    assert time.monotonic() - begun < 12
    assert shown(box, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}


@pytest.fixture
def bots_database() -> Iterator[str]:
    """The URL of a PostgreSQL with the bot's tables, on a port that the machine reaches."""
    with start_cluster() as cluster:
        with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE machine")
        with psycopg.connect(cluster.url("machine"), autocommit=True) as connection:
            connection.execute(BOT_TABLES)
        yield cluster.url("machine")


def test_two_replicas_take_over(box: Machine, bots_database: str) -> None:
    """By the printed lines two replicas take over; a restart loses no request, a kill only the one in flight."""
    box.sh(
        f"cd {HOME} && umask 077 && printf '{REPLICA_SETTINGS}DATABASE_URL={bots_database}\\n' > /tmp/env && "
        "rm .env && mv /tmp/env .env && chown root:root .env"
    )
    printed = box.sh(f"cd {HOME} && .venv/bin/aisha-webhook install systemd --replicas 2")
    lines = [line.strip() for line in printed.splitlines() if line.strip().startswith("sudo ")]
    *before, starting = lines
    migrating = "sudo -u aisha .venv/bin/aisha-webhook migrate"
    box.sh(f"cd {HOME}\n" + "\n".join([*before, migrating, starting]))
    asked = [f"curl -sf -m 30 http://127.0.0.1:{port}/health" for port in REPLICAS]
    for one in asked:
        box.until(one)
    assert "whole way took" in box.sh(f"cd {HOME} && sudo -u aisha .venv/bin/aisha-webhook try --port 8445")
    # A SIGKILL cuts the connection it meets: whoever sent that request sends it again, as fal and nginx do.
    again = [f"{one} --retry 1 --retry-all-errors" for one in asked]
    for act, requests in (("restart", asked), ("kill -s KILL", again)):
        sent = " && ".join(requests)
        box.sh(f"systemctl {act} {UNIT}@8444.service & for n in $(seq 20); do {sent} || exit 1; done; wait")
    box.until(f"test $(systemctl show -p NRestarts --value {UNIT}@8444) = 1")
    said = box.sh(f"cd {HOME} && .venv/bin/aisha-webhook setup --account of-a-test --no-check")
    assert f"sudo systemctl restart '{UNIT}@*'" in said
    box.sh(f"systemctl stop '{UNIT}@*'")
