"""What is in the repository, and what must never be."""

import re
import tomllib
from pathlib import Path
from typing import Any

from tests.docs.project import ROOT, page, project_files

PINNED = re.compile(
    r"^(?P<name>[a-z0-9-]+)(?:\[[^]]*\])?==(?P<version>\S+?)(?: ;[^\\]*)? \\\n(?P<hashes>(?: {4}--hash=.*\n)+)",
    re.MULTILINE,
)
KEY_BLOCK = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{40,}")
NOTES = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
SECRET_NAMES = re.compile(r"(?:^|/)\.env(?:\.|$)|\.(?:key|pem|p12|pfx|crt|ca-bundle)$")


def locked() -> dict[str, tuple[str, set[str]]]:
    """What the lock installs without the development group: version and hashes by name."""
    packages: list[dict[str, Any]] = tomllib.loads(page("uv.lock"))["package"]
    by_name: dict[str, list[dict[str, Any]]] = {}
    for package in packages:
        by_name.setdefault(package["name"], []).append(package)
    wanted = [("aisha-webhook", frozenset[str]())]
    seen: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        name, extras = wanted.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for package in by_name[name]:
            optional = package.get("optional-dependencies", {})
            needs = [*package.get("dependencies", []), *(need for extra in extras for need in optional.get(extra, []))]
            wanted += [(need["name"], frozenset(need.get("extra", ()))) for need in needs]
    found: dict[str, tuple[str, set[str]]] = {}
    for name in {name for name, _ in seen} - {"aisha-webhook"}:
        assert len(by_name[name]) == 1, f"{name} is locked in several versions; teach this test about them"
        [package] = by_name[name]
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        found[name] = (package["version"], {file["hash"] for file in files})
    return found


def test_requirements_are_the_lock() -> None:
    """requirements.txt pins what uv.lock installs, the same versions with the same hashes: `make generated`."""
    pinned = {
        match["name"]: (match["version"], set(re.findall(r"--hash=(\S+)", match["hashes"])))
        for match in PINNED.finditer(page("requirements.txt"))
    }
    assert pinned == locked()


def test_no_secret_is_tracked() -> None:
    """No .env, key or certificate is among the files, by name or by content."""
    for path in project_files():
        assert SECRET_NAMES.search(path.as_posix()) is None, path
        assert KEY_BLOCK.search((ROOT / path).read_bytes()) is None, path


def test_folders_of_state_are_empty() -> None:
    """ssl, logs and data are kept, and nothing in them."""
    for folder in ("ssl", "logs", "data"):
        assert [path for path in project_files() if path.parts[0] == folder] == [Path(folder, ".gitkeep")]


def test_the_licence_is_mit() -> None:
    """LICENSE is the MIT licence, and the package says so."""
    text = page("LICENSE")
    assert text.startswith("MIT License\n\nCopyright (c) ")
    assert "Permission is hereby granted, free of charge" in text
    assert 'THE SOFTWARE IS PROVIDED "AS IS"' in text
    assert tomllib.loads(page("pyproject.toml"))["project"]["license"] == "MIT"


def test_no_note_to_self_is_left() -> None:
    """What is not done is an issue, not a comment."""
    for path in project_files():
        ours = path.parts[0] in ("app", "migrations") or path == Path("run_api_server.py")
        if ours and path.parts[:2] != ("app", "static"):
            assert NOTES.search((ROOT / path).read_text(encoding="utf-8")) is None, path


def test_no_page_is_a_stub() -> None:
    """Every page has a title and something below it."""
    for path in project_files():
        if path.suffix == ".md":
            title, _, rest = page(str(path)).partition("\n")
            assert title.startswith("# "), path
            assert len(rest) > 200, path
