"""certbot's deploy hook: the script itself, run as certbot runs it, and the command that installs it."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from app.cli.hook import SCRIPT, filled_in
from app.tls.live import LiveContext
from tests.docs.project import program
from tests.process.conftest import ROOT

SYSTEMCTL = """#!/bin/sh
echo "$*" >> "{calls}"
case $* in
    *is-active*nginx) exit {nginx} ;;
    *is-active*) exit {unit} ;;
    reload*aisha*) exit {reload} ;;
esac
"""


@dataclass
class Machine:
    """A folder that stands for a machine: certbot's lineage, our ssl folder, a systemctl that takes notes."""

    folder: Path
    key_name: str = "aibots.kz.key"
    calls: Path = field(init=False)

    def __post_init__(self) -> None:
        self.calls = self.folder / "calls"
        for name in ("ssl", "live", "bin"):
            (self.folder / name).mkdir()
        self.systemctl()
        self.renew()

    @property
    def cert(self) -> Path:
        return self.folder / "ssl" / "aibots_kz.crt"

    @property
    def key(self) -> Path:
        return self.folder / "ssl" / self.key_name

    def systemctl(self, *, nginx: bool = False, unit: bool = False, reload: bool = True) -> None:
        program = self.folder / "bin" / "systemctl"
        program.write_text(
            SYSTEMCTL.format(calls=self.calls, nginx=int(not nginx), unit=int(not unit), reload=int(not reload))
        )
        program.chmod(0o755)

    def renew(self) -> None:
        leaf = trustme.CA().issue_cert("aibots.kz")
        (self.folder / "live" / "fullchain.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        (self.folder / "live" / "privkey.pem").write_bytes(leaf.private_key_pem.bytes())

    def run(self, domains: str = "aibots.kz", **paths: Path) -> "subprocess.CompletedProcess[str]":
        hook = self.folder / "hook.sh"
        hook.write_text(
            filled_in(SCRIPT.read_text(), "aibots.kz", paths.get("cert", self.cert), paths.get("key", self.key))
        )
        return subprocess.run(
            ["/bin/sh", str(hook)],
            env={
                "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
                "RENEWED_LINEAGE": str(self.folder / "live"),
                "RENEWED_DOMAINS": domains,
            },
            check=False,
            capture_output=True,
            text=True,
        )

    def is_copied(self) -> bool:
        live = self.folder / "live"
        return (
            self.cert.is_file()
            and self.cert.read_bytes() == (live / "fullchain.pem").read_bytes()
            and self.key.read_bytes() == (live / "privkey.pem").read_bytes()
        )

    def told(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    folder = tmp_path / "a machine"  # a path with a space, for the quoting
    folder.mkdir()
    return Machine(folder)


def install(folder: Path, *options: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run `install_hook` as a command of its own, in `folder`."""
    program = "import typer; from app.cli.hook import install_hook; typer.run(install_hook)"
    return subprocess.run(
        [sys.executable, "-c", program, *options],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "DEFAULT_LANGUAGE": "en", **settings},
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_renewed_pair_lands_where_the_server_looks(machine: Machine) -> None:
    """Both files are copied whole, the key for its owner only, the certificate for all; nothing else is left."""
    done = machine.run()
    assert done.returncode == 0, done.stderr
    assert machine.is_copied()
    assert machine.key.stat().st_mode & 0o777 == 0o600
    assert machine.cert.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in machine.cert.parent.iterdir()) == ["aibots.kz.key", "aibots_kz.crt"]


def test_the_server_takes_what_the_hook_copied(machine: Machine) -> None:
    """The pair that lies there after the hook loads as a pair (fault 41)."""
    machine.run()
    served = LiveContext(machine.cert, machine.key, machine.folder / "no-bundle", "en")
    served.load()
    assert served.trouble == ()


def test_running_it_again_changes_nothing(machine: Machine) -> None:
    """certbot may call it twice: the same files lie there afterwards, and it says that it went well."""
    assert [machine.run().returncode for _ in range(2)] == [0, 0]
    assert machine.is_copied()


def test_the_next_renewal_replaces_the_files(machine: Machine) -> None:
    """Files are replaced, never rewritten: whoever reads the old one at that moment reads it whole."""
    machine.run()
    before = machine.key.stat().st_ino
    machine.renew()
    machine.run()
    assert machine.is_copied()
    assert machine.key.stat().st_ino != before


@pytest.mark.parametrize(("before", "after"), [(0o640, 0o640), (0o644, 0o640), (0o400, 0o400)])
def test_a_group_that_may_read_the_key_still_may(machine: Machine, before: int, after: int) -> None:
    """The key keeps its mode, but never stays open to everybody."""
    machine.key.write_text("old")
    machine.key.chmod(before)
    machine.run()
    assert machine.key.stat().st_mode & 0o777 == after


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_files_belong_to_whom_they_belonged(machine: Machine) -> None:
    """certbot is root and the server is not: an existing file keeps its owner, a new one gets the folder's."""
    os.chown(machine.cert.parent, 1234, 1235)
    machine.key.write_text("old")
    os.chown(machine.key, 1236, 1237)
    machine.run()
    assert (machine.cert.stat().st_uid, machine.cert.stat().st_gid) == (1234, 1235)
    assert (machine.key.stat().st_uid, machine.key.stat().st_gid) == (1236, 1237)


@pytest.mark.parametrize(
    ("domains", "copied"),
    [
        ("aibots.kz", True),
        ("www.other.kz aibots.kz", True),
        ("*.kz", True),
        ("other.kz", False),
        ("www.aibots.kz", False),
        ("*.aibots.kz", False),
        ("aibotsXkz", False),
    ],
)
def test_only_a_certificate_for_our_domain_is_taken(machine: Machine, domains: str, copied: bool) -> None:
    """certbot renews others' certificates with the same hooks: those are left alone, and that is no error."""
    assert machine.run(domains).returncode == 0
    assert machine.is_copied() is copied


def test_paths_that_point_at_certbot_s_own_files_are_not_copied(machine: Machine) -> None:
    """SSL_CERT_PATH below /etc/letsencrypt/live: there is nothing to copy, only to reload."""
    live = machine.folder / "live"
    inode = (live / "fullchain.pem").stat().st_ino
    machine.systemctl(unit=True)
    done = machine.run(cert=live / "fullchain.pem", key=live / "privkey.pem")
    assert done.returncode == 0, done.stderr
    assert (live / "fullchain.pem").stat().st_ino == inode
    assert not machine.key.exists()
    assert "reload aisha-webhook-api" in machine.told()


@pytest.mark.parametrize("missing", ["privkey.pem", "fullchain.pem"])
def test_half_a_lineage_changes_nothing(machine: Machine, missing: str) -> None:
    """When one file cannot be read the old pair stays, whole, and certbot sees a failure."""
    machine.run()
    old = machine.key.read_bytes(), machine.cert.read_bytes()
    machine.renew()
    (machine.folder / "live" / missing).unlink()
    assert machine.run().returncode != 0
    assert (machine.key.read_bytes(), machine.cert.read_bytes()) == old
    assert len(list(machine.cert.parent.iterdir())) == 2


@pytest.mark.parametrize(
    ("nginx", "unit", "reload", "expected"),
    [
        (False, False, True, []),
        (True, False, True, ["reload nginx"]),
        (True, True, True, ["reload nginx", "reload aisha-webhook-api"]),
        (False, True, False, ["reload aisha-webhook-api", "kill --signal=HUP aisha-webhook-api"]),
    ],
)
def test_who_runs_is_told(machine: Machine, nginx: bool, unit: bool, reload: bool, expected: list[str]) -> None:
    """nginx and our unit are reloaded when they run; a unit without a reload is sent SIGHUP."""
    machine.systemctl(nginx=nginx, unit=unit, reload=reload)
    assert machine.run().returncode == 0
    assert [call for call in machine.told() if not call.startswith("is-active")] == expected


def test_without_certbot_s_variables_it_refuses(machine: Machine) -> None:
    """Run by hand without them it says what is missing and touches nothing."""
    hook = machine.folder / "hook.sh"
    hook.write_text(filled_in(SCRIPT.read_text(), "aibots.kz", machine.cert, machine.key))
    done = subprocess.run(["/bin/sh", str(hook)], env={"PATH": "/usr/bin:/bin"}, check=False, capture_output=True)
    assert done.returncode != 0
    assert b"RENEWED_LINEAGE" in done.stderr
    assert not machine.cert.exists()


@pytest.mark.parametrize("script", ["deploy/certbot/aisha-webhook.sh", "fix_ssl_certificate.sh", ".ci/run"])
def test_a_script_is_sound(script: str) -> None:
    """shellcheck finds nothing in the scripts of the project."""
    assert shellcheck(ROOT / script) == ""


def test_a_hook_with_an_operator_s_paths_is_sound(machine: Machine) -> None:
    """shellcheck finds nothing in what the command writes, either."""
    machine.run()
    assert shellcheck(machine.folder / "hook.sh") == ""


def shellcheck(script: Path) -> str:
    found = program("shellcheck", "apt-get install shellcheck")
    return subprocess.run([found, str(script)], check=False, capture_output=True, text=True).stdout


def test_the_command_writes_the_hook_with_the_settings(tmp_path: Path) -> None:
    """The file is executable, names our domain and absolute paths, and the next two commands are printed."""
    hook = tmp_path / "hooks" / "aisha-webhook.sh"
    done = install(tmp_path, "--into", str(hook), API_DOMAIN="hook.aibots.kz")
    assert done.returncode == 0, done.stderr
    assert hook.stat().st_mode & 0o777 == 0o755
    text = hook.read_text()
    assert "\ndomain=hook.aibots.kz\n" in text
    assert f"\ncert={tmp_path}/ssl/aibots_kz.crt\n" in text
    assert f"\nkey={tmp_path}/ssl/aibots.kz.key\n" in text
    assert "certbot certonly --standalone" in done.stdout
    assert f"RENEWED_DOMAINS=hook.aibots.kz {hook}" in done.stdout
    assert [path.name for path in hook.parent.iterdir()] == [hook.name]


def test_installing_twice_writes_once(tmp_path: Path) -> None:
    """The second time nothing has changed, and it says so; a changed setting is written."""
    hook = tmp_path / "aisha-webhook.sh"
    install(tmp_path, "--into", str(hook))
    before = hook.stat().st_ino
    assert "has not changed" in install(tmp_path, "--into", str(hook)).stdout
    assert hook.stat().st_ino == before
    assert "is written" in install(tmp_path, "--into", str(hook), API_DOMAIN="other.kz").stdout


def test_a_hook_that_cannot_be_written_says_what_to_run(tmp_path: Path) -> None:
    """Exit 1, the path and the command with sudo; in Russian for whoever reads Russian."""
    (tmp_path / "file").write_text("")
    done = install(tmp_path, "--into", str(tmp_path / "file" / "hook.sh"), DEFAULT_LANGUAGE="ru")
    assert done.returncode == 1
    assert "не записывается" in done.stderr
    assert "sudo" in done.stderr
