"""The pages say what the project is."""

import re
import subprocess
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from app import __version__
from app.application import create_app
from app.cli.config import with_table
from app.cli.main import app as command_line
from app.core.config import Settings
from app.routers.openapi import describe
from tests.docs.project import ROOT, between, names, page, project_files, rows

READMES = ("README.md", "README.ru.md")
SETTINGS_PAGES = ("docs/settings.md", "docs/settings.ru.md")
OPERATE_PAGES = ("docs/operate.md", "docs/operate.ru.md")
PAGES = [path for path in project_files() if path.suffix == ".md"]
PACKAGES = {
    "curl": "curl",
    "git": "git",
    "jq": "jq",
    "make": "make",
    "openssl": "openssl",
    "pg_restore": "postgresql-client",
    "psql": "postgresql-client",
    "python3 -m venv": "python3-venv",
    "rsync": "rsync",
    "sqlite3": "sqlite3",
}  # what the pages type and a fresh Debian does not have, and where it comes from
LINK = re.compile(r"\]\(<?([^)\s>]+)>?\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The anchors that a reader of GitHub can jump to."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def commands() -> dict[str, set[str]]:
    """Every command, such as `deliveries list`, with its options."""
    group = typer.main.get_command(command_line)
    assert isinstance(group, TyperGroup)
    context = group.make_context("aisha-webhook", [], resilient_parsing=True)
    found: dict[str, set[str]] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, TyperGroup):
            found |= {f"{name} {verb}": options(below) for verb, below in command.commands.items()}
        else:
            found[name] = options(command)
    return found


def options(command: Any) -> set[str]:
    """Name the long options of one command."""
    return {option for parameter in command.params for option in parameter.opts if option.startswith("--")}


def tree() -> list[Path]:
    """Read the tree of ARCHITECTURE.md: two spaces lead one level down."""
    found: list[Path] = []
    for line in between(page("ARCHITECTURE.md"), "tree").splitlines():
        if line.startswith("```"):
            continue
        depth = sum(1 for _ in takewhile(lambda character: character == " ", line)) // 2
        parents = [path for path in found if len(path.parts) == depth]
        found.append((parents[-1] if parents else Path()) / line.split()[0])
    return found


@pytest.mark.parametrize("name", SETTINGS_PAGES)
def test_the_page_of_settings_is_current(name: str) -> None:
    """The table between the marks is what the settings say: `make generated` writes it anew."""
    assert with_table(page(name), russian=name.endswith(".ru.md")) == page(name)
    assert name in page("Makefile")


def test_every_command_is_listed() -> None:
    """The table of docs/commands.md has each command, and no other."""
    listed = names(between(page("docs/commands.md"), "commands"))
    assert {name.removeprefix("aisha-webhook ") for name in listed} == set(commands())


def test_every_option_is_listed_with_its_command() -> None:
    """Each option stands in the row of its command; --json and --help, which say themselves, need not."""
    table = rows(between(page("docs/commands.md"), "commands"))
    described = {row[0].strip("`").removeprefix("aisha-webhook "): row[1] for row in table}
    for name, known in commands().items():
        told = set(re.findall(r"--[a-z-]+", described[name]))
        assert told - {"--json"} == known - {"--json"}, name


def test_every_reading_command_takes_json() -> None:
    """What shows something shows it to machines, too."""
    reading = {name for name in commands() if name.split()[-1] in {"list", "show", "status", "healthcheck", "doctor"}}
    assert {"deliveries list", "healthcheck"} <= reading
    assert {name for name in reading if "--json" not in commands()[name]} == set()


def test_every_command_on_a_page_exists() -> None:
    """Whoever copies `aisha-webhook …` from a page meets a command."""
    for path in PAGES:
        known = commands()
        text = "\n".join(re.findall(r"`[^`\n]+`|^```bash.*?^```", page(str(path)), re.MULTILINE | re.DOTALL))
        for words in re.findall(r"aisha-webhook((?: [a-z][a-z-]*)+)", text):
            first, *rest = words.split()
            assert first in known or (bool(rest) and f"{first} {rest[0]}" in known), words


@pytest.mark.parametrize("name", OPERATE_PAGES)
def test_every_endpoint_is_on_its_page(name: str) -> None:
    """The table has each path and method that the server answers, and no other."""
    served = {
        (method.upper(), path) for path, item in describe(create_app(Settings()))["paths"].items() for method in item
    }
    listed = {(row[0], row[1].strip("`")) for row in rows(between(page(name), "endpoints"))}
    assert listed == served


def test_every_relative_link_is_alive() -> None:
    """A link to a file finds it, and a link to a heading finds that."""
    for path in PAGES:
        for target in LINK.findall(FENCE.sub("", page(str(path)))):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = (ROOT / path).parent / name if name else ROOT / path
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), target


def test_the_tree_is_the_folders() -> None:
    """ARCHITECTURE.md names each folder down to the second level, and nothing that is not there."""
    folders = {parent for path in project_files() for parent in path.parents if 0 < len(parent.parts) <= 2}
    drawn = tree()
    assert {path for path in drawn if (ROOT / path).is_dir()} == folders
    files = {path for path in drawn if path not in folders}
    assert files == {path for path in project_files() if path.parent == Path("app")} - {Path("app/__init__.py")}


def test_paths_named_on_pages_are_there() -> None:
    """Every `app/…`, `tests/…`, `migrations/…`, `deploy/…` or `docs/…` that a page names exists."""
    for path in PAGES:
        for name in re.findall(r"`((?:app|tests|migrations|docs|bench|deploy)/[\w./-]*)`", page(str(path))):
            assert (ROOT / name).exists(), f"{path}: {name}"


def test_every_decision_is_listed() -> None:
    """docs/adr/README.md links each decision, and each has the five headings in order."""
    index = page("docs/adr/README.md")
    decisions = sorted(path for path in PAGES if path.parent == Path("docs/adr") and path.name != "README.md")
    assert [path.name for path in decisions] == re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", index)
    for number, path in enumerate(decisions, 1):
        assert path.name.startswith(f"{number:04}-"), path
        headings = re.findall(r"^## (.+)$", page(str(path)), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "Alternatives", "References"], path


def test_the_changelog_knows_the_version() -> None:
    """Changes gather under Unreleased on top; a version that is out has a heading of its own."""
    headings = re.findall(r"^## \[(.+?)\]", page("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert __version__ in headings or __version__ in page("CHANGELOG.md").partition("## [Unreleased]")[2]


def test_every_make_target_exists() -> None:
    """A page that says `make x` names a target."""
    targets = set(re.findall(r"^([a-z0-9-]+):", page("Makefile"), re.MULTILINE))
    for path in PAGES:
        for target in re.findall(r"(?:`|^)(?:\w+=\w+ )?make ([a-z0-9-]+)", page(str(path)), re.MULTILINE):
            assert target in targets, f"{path}: make {target}"


def test_every_example_is_a_script() -> None:
    """A shell reads each example to its end; in a console's, what is typed stands behind `$`."""
    for path in PAGES:
        for language, text in re.findall(r"^```(bash|console)\n(.*?)^```", page(str(path)), re.MULTILINE | re.DOTALL):
            typed = text if language == "bash" else "\n".join(re.findall(r"^\$ (.*)$", text, re.MULTILINE))
            read = subprocess.run(["bash", "-n"], input=typed, capture_output=True, text=True, check=False)
            assert (read.returncode, read.stderr) == (0, ""), text


@pytest.mark.parametrize("where", ["docs/install.md", "docs/upgrade.md"])
def test_what_is_typed_was_installed_first(where: str) -> None:
    """Every program of the pages comes with the packages that the first step installs, after the first version too."""
    [installed] = re.findall(r"^sudo apt install -y (make .*)$", page(where), re.MULTILINE)
    pages = ("docs/install.md", "docs/operate.md", "docs/runbook.md", "docs/backup.md", "docs/upgrade.md")
    typed = "".join("".join(re.findall(r"^```bash\n(.*?)^```", page(name), re.MULTILINE | re.DOTALL)) for name in pages)
    needed = {PACKAGES[program] for program in PACKAGES if re.search(rf"^(?:.*[|;] )?{program} ", typed, re.MULTILINE)}
    assert "rsync" in needed
    assert needed <= set(installed.split())
