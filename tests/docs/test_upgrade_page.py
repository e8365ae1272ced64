"""What docs/upgrade.md says of the move from the first version, on a folder that stands for the machine."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.project import page

SYSTEM = "/etc/systemd/system"
OLD_UNIT = "[Service]\nType=simple\n"
STAND_INS = {
    "sudo": 'exec "$@"',
    "systemctl": 'echo "$*" >> calls',
    "chown": 'shift 2; printf "%s\\n" "$@" >> given',
}


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with systemd's folder, and commands that only write down what they were told."""
    (tmp_path / "units").mkdir()
    (tmp_path / "bin").mkdir()
    for name, text in STAND_INS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def lines(heading: str, wanted: str) -> str:
    """The commands of a section, in order, that hold one of these words."""
    _, _, section = page("docs/upgrade.md").partition(f"### {heading}\n")
    commands = "".join(re.findall(r"^```bash\n(.*?)^```", re.split(r"\n##+ ", section)[0], re.MULTILINE | re.DOTALL))
    found = [line for line in commands.splitlines() if re.search(wanted, line)]
    assert found, wanted
    return "\n".join(found)


def type_in(machine: Path, text: str) -> None:
    environment = {"PATH": f"{machine}/bin:{os.defpath}", "HOME": str(machine)}
    script = text.replace(SYSTEM, str(machine / "units"))
    done = subprocess.run(["bash", "-eu", "-c", script], cwd=machine, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def move_over(machine: Path) -> None:
    type_in(machine, lines("The way over", "aisha-api.service"))


def move_back(machine: Path) -> None:
    type_in(machine, lines("The way back", "systemd|aisha-"))


def test_an_old_unit_of_the_other_name_gives_it_up(machine: Path) -> None:
    """A unit `aisha-api.service` is stopped and moved aside, so that the name is free, and comes back whole."""
    unit = machine / "units/aisha-api.service"
    unit.write_text(OLD_UNIT)
    move_over(machine)
    assert not unit.exists()
    assert "stop aisha-webhook-api.service aisha-api.service" in (machine / "calls").read_text().splitlines()
    move_back(machine)
    assert unit.read_text() == OLD_UNIT


def test_an_alias_of_that_name_stays(machine: Path) -> None:
    """Where `aisha-api.service` is only another name of a unit, nothing is moved."""
    (machine / "units/aisha-webhook-api.service").write_text(OLD_UNIT)
    (machine / "units/aisha-api.service").symlink_to("aisha-webhook-api.service")
    move_over(machine)
    assert (machine / "units/aisha-api.service").is_symlink()


def test_the_way_back_finds_the_unit_that_was_replaced(machine: Path) -> None:
    """The newest copy that `install systemd --force` left is the old unit again."""
    (machine / "units/aisha-webhook-api.service").write_text("[Service]\nType=notify\n")
    (machine / "units/aisha-webhook-api.service.20261122T120000Z.bak").write_text(OLD_UNIT)
    move_back(machine)
    assert (machine / "units/aisha-webhook-api.service").read_text() == OLD_UNIT


def test_the_folder_becomes_ours_but_for_what_the_old_server_uses(machine: Path) -> None:
    """Every file changes its owner, but those that the old server writes or keeps secret."""
    for name in ("run_api_server.py", "app/main.py", "logs/webhook.log", "ssl/aibots.kz.key", "data/aisha.db", ".env"):
        (machine / name).parent.mkdir(exist_ok=True)
        (machine / name).touch()
    type_in(machine, lines("The way over", "^sudo find"))
    given = set((machine / "given").read_text().splitlines())
    assert {".", "./run_api_server.py", "./app", "./app/main.py"} <= given
    assert [name for name in given if re.match(r"\./(?:logs|ssl|data|\.env)", name)] == []


@pytest.mark.parametrize("name", ["docs/upgrade.md", "docs/operate.md"])
def test_the_backup_is_made_before_the_new_files_come(name: str) -> None:
    """Each block that upgrades begins with the backup, and is told to be begun before the files are touched."""
    found = re.findall(
        r"([^`]*)```bash\nsudo systemctl start aisha-webhook-backup.service\n[^`]*pip install", page(name)
    )
    assert len(found) == len(re.findall(r"^sudo .*aisha-webhook-backup.service$", page(name), re.MULTILINE))
    for before in found:
        assert "before you touch the files" in " ".join(before.split())
