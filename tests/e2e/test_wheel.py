"""The wheel alone, as `pipx install` or `uvx --from` puts it up: nothing of a checkout is needed."""

from pathlib import Path

import pytest

from tests.e2e.packages import environment_in, uv
from tests.release.alone import run_and_try


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, and install it by its pinned requirements into an environment of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    uv("build", "--quiet", "--wheel", "--out-dir", folder)
    [wheel] = folder.glob("*.whl")
    python = environment_in(folder / "venv")
    uv("pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", "requirements.txt")
    uv("pip", "install", "--quiet", "--python", python, "--no-deps", wheel)
    return python.with_name("aisha-webhook")


def test_the_wheel_runs_alone(command: Path, tmp_path: Path) -> None:
    """Installed, started and tried in an empty folder: it makes its folders there, and ends with 0."""
    assert run_and_try(command, tmp_path) == ["data", "logs", "ssl"]
