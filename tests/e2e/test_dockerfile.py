"""The Dockerfile's steps, replayed without an engine: what they build starts, as a stranger, and answers."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.dockerfile import Image, replay
from tests.ports import free_port
from tests.process.conftest import ROOT

DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
READY_WITHIN = 60  # s
NOWHERE = "http://127.0.0.1:9"  # fal and Telegram are not needed, and not reached
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: to become another account, as the image does")


@pytest.fixture(name="image", scope="module")
def _image() -> Iterator[Image]:
    # Not in pytest's folder: that is closed to the account which the server runs as.
    with tempfile.TemporaryDirectory(prefix="aisha-image-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        try:
            yield replay(DOCKERFILE, ROOT, root)
        except subprocess.CalledProcessError as failed:
            pytest.fail(f"{failed.cmd[-1]}: exit {failed.returncode}")


def environment(image: Image, port: int) -> dict[str, str]:
    return {
        **image.environment,
        "API_HOST": "127.0.0.1",
        "API_PORT": str(port),
        "SSL_ENABLED": "false",
        "DEFAULT_LANGUAGE": "en",
        "FAL_JWKS_URLS": f"{NOWHERE}/jwks.json",
        "FAL_QUEUE_URL": NOWHERE,
        "FAL_STORAGE_URL": NOWHERE,
        "FAL_API_URL": NOWHERE,
        "TELEGRAM_API_URL": NOWHERE,
    }


def test_every_step_is_replayed(image: Image) -> None:
    """Two stages, hashes required, no build without them, and nothing after the account is given up but the command."""
    assert image.done.count("FROM") == 2
    assert image.done[image.done.index("USER") + 1 :] == ["EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "CMD"]
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert text.count("pip install") == text.count("--require-hashes") + text.count("--no-index --no-deps /build/dist")


def test_the_environment_holds_what_the_server_needs_and_no_pip(image: Image) -> None:
    """The command line works from the built environment; no installer is left in it."""
    command = [str(image.root / "opt/venv/bin/aisha-webhook"), "--version"]
    said = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd="/", env=image.environment, timeout=60
    )
    assert said.stdout.startswith("aisha-webhook ")
    assert not (image.root / "opt/venv/bin/pip").exists()
    assert not (image.root / "build/deploy/docker").exists()
    assert list(image.root.glob("opt/venv/lib/python3*/site-packages/migrations/versions/0001_*.py"))


@root_only
def test_the_command_runs_as_the_image_s_account_and_writes_only_its_folders(image: Image) -> None:
    """Under the numeric account and a root it cannot write, it starts, is healthy, and obeys SIGTERM with 0."""
    user, group = map(int, image.user.split(":"))
    assert user >= 10000
    settings = environment(image, free_port())

    def run(command: list[str]) -> list[str]:
        found = shutil.which(command[0], path=settings["PATH"])
        assert found is not None, command
        return [found, *command[1:]]

    before = files(image)
    with subprocess.Popen(
        run(image.command),
        cwd=image.workdir,
        env=settings,
        user=user,
        group=group,
        extra_groups=[],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            said: list[str] = []
            while not said or "on this machine" not in said[-1]:
                said.append(server.stdout.readline())
                assert said[-1], "it ended before it listened: " + "".join(said)
            asked = subprocess.run(
                run(image.healthcheck),
                check=False,
                capture_output=True,
                text=True,
                cwd=image.workdir,
                env=settings,
                user=user,
                group=group,
                extra_groups=[],
                timeout=READY_WITHIN,
            )
            assert (asked.returncode, asked.stdout.strip()) == (0, "ready"), asked.stderr
            server.send_signal(signal.SIGTERM)
            assert server.wait(15) == 0
        finally:
            server.kill()
    written = files(image) - before
    assert {path.relative_to(image.workdir).parts[0] for path in written} == {"data", "logs"}


def files(image: Image) -> set[Path]:
    return {path for path in image.root.rglob("*") if path.is_file()}
