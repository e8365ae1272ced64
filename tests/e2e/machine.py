"""A Debian with a systemd of its own, booted in a container of systemd-nspawn; the base tree is kept between runs."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs.project import ROOT, project_files

SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = (
    "systemd,systemd-sysv,dbus,python3,python3-venv,python3-pip,ca-certificates,openssl,curl,iproute2,make,procps,sudo"
)
CACHE = Path.home() / ".cache/aisha-webhook-machines"
BOOT, PATIENCE = 60, 240  # s
NEEDED = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container"}
TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")  # of this machine, so that pip gets out where this machine does


def missing() -> str | None:
    """Say why no machine can be started here; None where one can."""
    if os.geteuid() != 0:
        return "needs root: systemd-nspawn"
    packages = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    return f"needs: apt install {' '.join(packages)}" if packages else None


def base(suite: str = SUITE) -> Path:
    """Return the tree of a minimal Debian, made once; raises CalledProcessError without a way to the mirror."""
    tree = CACHE / suite
    if not (tree / "usr/bin/python3").exists() or not (tree / "usr/bin/sudo").exists():
        shutil.rmtree(tree, ignore_errors=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, str(tree), MIRROR]
        subprocess.run(command, check=True, capture_output=True, timeout=600)
    return tree


@dataclass
class Machine:
    """A booted machine; commands run in its namespaces."""

    leader: int  # the process id of its systemd, as this machine counts

    def run(self, script: str, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run a script as root in the machine."""
        command = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-p", "-C", "-r", "-w"]
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        if TRUSTED.exists():
            environment |= {"SSL_CERT_FILE": str(TRUSTED), "PIP_CERT": str(TRUSTED)}
        return subprocess.run(
            [*command, "bash", "-ec", script],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def sh(self, script: str, timeout: float = PATIENCE) -> str:
        """Run a script that must succeed; return what it said."""
        done = self.run(script, timeout)
        assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout.strip()

    def until(self, script: str, seconds: float = 40) -> str:
        """Run a script again and again until it succeeds; return what it said then."""
        end = time.monotonic() + seconds
        while (done := self.run(script)).returncode:
            assert time.monotonic() < end, f"{script}\n{done.stdout[-2000:]}{done.stderr[-2000:]}\n{self.journal()}"
            time.sleep(0.3)
        return done.stdout.strip()

    def journal(self) -> str:
        """Return the end of what the units said."""
        return self.run("journalctl --no-pager -n 40 -o cat").stdout[-4000:]


@contextlib.contextmanager
def machine(scratch: Path, suite: str = SUITE) -> Iterator[Machine]:
    """Boot a machine over the kept tree, with this project at /src; what it writes is forgotten at the end."""
    project = scratch / "src"
    for path in project_files():
        target = project / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target)
    command = ["systemd-nspawn", "-D", str(base(suite)), "--boot", "--register=no", "--keep-unit", "--quiet"]
    command += ["--volatile=overlay", "--console=pipe", "--resolv-conf=copy-host", "--machine=aisha-e2e"]
    command += [f"--bind-ro={project}:/src"]
    cache = Path.home() / ".cache/uv"  # wheels that this machine has fetched already
    cache.mkdir(parents=True, exist_ok=True)
    command += [f"--bind={cache}:/uv-cache", f"--bind-ro={ROOT / '.tools'}:/tools"]
    command += [f"--bind-ro={path}" for path in (TRUSTED, Path("/opt/wheels")) if path.exists()]
    with (scratch / "console").open("wb") as console:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            booted = Machine(_leader(process))
            booted.until("systemctl is-system-running | grep -qE 'running|degraded'", BOOT)
            yield booted
        finally:
            process.send_signal(signal.SIGTERM)  # nspawn has the machine power off
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _leader(process: "subprocess.Popen[bytes]") -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    end = time.monotonic() + BOOT
    while time.monotonic() < end:
        assert process.poll() is None, "the machine ended"
        for child in children.read_text().split():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return int(child)
        time.sleep(0.2)
    raise TimeoutError
