"""What `make release-check` looks at: one version, a changelog that tells it, a build that works on its own."""

import json
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from app import __version__
from app.db.tables import HEAD
from tests.release.alone import run_and_try

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
HEADINGS = re.findall(r"^## \[(.+?)\](?: - (\S+))?$", CHANGELOG, re.MULTILINE)
SECRETS = re.compile(r"(^|/)(\.env(\..+)?|.+\.(key|pem|db|dump|log))$")

release_only = pytest.mark.skipif("RELEASE" not in os.environ, reason="make release-check builds what this looks at")  # noqa: TID251  a setting of the tests


def run(*command: str | Path, **environment: str) -> str:
    """Run a command of the built version in an empty environment; return what it printed."""
    done = subprocess.run(
        [str(word) for word in command],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.defpath, "HOME": "/nonexistent", **environment},
    )
    return done.stdout


def git(*arguments: str) -> str:
    program = shutil.which("git")
    if program is None:
        pytest.skip("no git")
    return subprocess.run([program, "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True).stdout


def wheel() -> Path:
    [found] = DIST.glob("*.whl")
    return found


def test_the_version_is_written_in_one_place() -> None:
    """pyproject.toml takes it from the package."""
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in pyproject
    assert not re.search(r"^version =", pyproject, re.MULTILINE)
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_every_release_has_its_day_newest_first() -> None:
    """Keep a Changelog: `## [1.2.3] - 2026-01-31`, in order, none in the future."""
    told = [(version, day) for version, day in HEADINGS if version != "Unreleased"]
    days = [date.fromisoformat(day) for _, day in told]
    assert days == sorted(days, reverse=True)
    assert all(day <= datetime.now(UTC).date() for day in days)  # noqa: TID251  a release's day is today's
    versions = [tuple(map(int, version.split("."))) for version, _ in told]
    assert versions == sorted(versions, reverse=True)


@release_only
def test_the_changelog_tells_of_this_version() -> None:
    """Its newest release is the version, and nothing waits under "Unreleased"."""
    waiting = CHANGELOG.partition("## [Unreleased]")[2].partition("\n## [")[0].strip()
    assert waiting == "", "move what stands under [Unreleased] below a heading of this version"
    assert next(version for version, _ in HEADINGS if version != "Unreleased") == __version__


@release_only
def test_what_is_released_is_committed_and_has_no_tag_elsewhere() -> None:
    """A tag names one commit for ever."""
    assert git("status", "--porcelain") == ""
    assert git("tag", "--list", f"v{__version__}") == "" or f"v{__version__}" in git("tag", "--points-at", "HEAD")


@release_only
def test_the_wheel_holds_what_runs_and_nothing_else() -> None:
    """The package, its migrations and words; no tests, no secrets."""
    names = zipfile.ZipFile(wheel()).namelist()
    assert wheel().name.startswith(f"aisha_webhook-{__version__}-")
    assert f"migrations/versions/{HEAD}" in "\n".join(names)
    assert any(name.endswith("messages.po") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "bench/")) or SECRETS.search(name)]


@release_only
def test_the_source_archive_holds_no_secrets() -> None:
    """Whatever lies in ssl/, data/ and logs/ stays at home."""
    [archive] = DIST.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        assert not [name for name in source.getnames() if SECRETS.search(name) or "/.venv/" in name]


@release_only
def test_the_build_runs_where_only_its_pinned_requirements_are(tmp_path: Path) -> None:
    """Installed by hash into an empty environment, the command knows its version and makes a database."""
    command = DIST / "venv" / "bin" / "aisha-webhook"
    assert run(command, "--version").strip() == f"aisha-webhook {__version__}"
    url = f"sqlite:///{tmp_path}/aisha.db"
    assert run(command, "migrate", DATABASE_URL=url, DEFAULT_LANGUAGE="en").strip() == f"up to date: {HEAD}"
    assert json.loads(run(command, "deliveries", "list", "--json", DATABASE_URL=url)) == []


@release_only
def test_the_build_is_tried_in_an_empty_folder(tmp_path: Path) -> None:
    """Started and tried where nothing of the project lies, it makes its folders there and ends with 0."""
    assert run_and_try(DIST / "venv" / "bin" / "aisha-webhook", tmp_path) == ["data", "logs", "ssl"]


@release_only
def test_the_sbom_names_every_pinned_package() -> None:
    """CycloneDX, validated when it was made; each requirement with its version and a licence."""
    document = json.loads((DIST / "sbom.cdx.json").read_text())
    assert document["bomFormat"] == "CycloneDX"
    components = {part["name"].lower().replace("_", "-"): part for part in document["components"]}
    pinned = re.findall(r"^([a-zA-Z0-9._-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    there = {name: version for name, version in pinned if name in components}
    assert {name: components[name]["version"] for name in there} == there
    assert not [name for name in there if not components[name].get("licenses")]
    # What is pinned for other systems only (a marker stands behind it) is not installed here.
    lines = (ROOT / "requirements.txt").read_text()
    absent = [name for name, version in pinned if name not in there and f"{name}=={version} ;" not in lines]
    assert absent == []
