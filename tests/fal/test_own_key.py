"""The key of this installation, and from where it may be used."""

import socket
import stat
from pathlib import Path

import pytest

from app.fal.own_key import FILE, OwnMachine, load, load_or_make

pytestmark = pytest.mark.anyio


def test_the_key_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    """The first start makes a key that only its account reads; every later one finds the same."""
    path = tmp_path / "data" / FILE
    made = load_or_make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert bytes(load_or_make(path)) == bytes(made) == bytes(load(path))
    assert [entry.name for entry in path.parent.iterdir()] == [FILE]


@pytest.mark.parametrize("content", ["", "zz", "00", "ключ"])
def test_a_broken_key_is_made_anew_at_the_start(tmp_path: Path, content: str) -> None:
    """A file that holds no key is an error to whoever signs, and the next start replaces it."""
    path = tmp_path / FILE
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r".*"):
        load(path)
    assert bytes(load_or_make(path)) == bytes(load(path))


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("192.0.2.7", False),
        ("2001:db8::7", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("localhost", False),
        ("", False),
        (None, False),
    ],
)
async def test_only_this_machine_may_try(address: str | None, *, allowed: bool) -> None:
    """Loopback may, any address that the machine does not have may not, whatever it looks like."""
    machine = OwnMachine()
    assert machine.allows(address) is allowed
    assert await machine.look_again(address) is allowed


def test_an_address_of_this_machines_own_may_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel lets us bind is ours: a server that listens on one address only can be tried, too."""
    bound: list[tuple[str, int]] = []
    monkeypatch.setattr(socket.socket, "bind", lambda _, address: bound.append(address))
    assert OwnMachine().allows("192.0.2.7")
    assert bound == [("192.0.2.7", 0)]
