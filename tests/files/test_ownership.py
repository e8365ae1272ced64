"""Whose a file is, and whom it may be given to."""

from pathlib import PurePosixPath
from types import SimpleNamespace

import pytest

from app.files.ownership import Entry, Ownership

NAMES = {0: "root", 1000: "operator", 999: "aisha"}
HIDDEN = PermissionError(13, "Permission denied")


def entry_of(uid: int) -> Entry:
    return SimpleNamespace(pw_name=NAMES[uid])


def whose(owners: dict[str, int], us: int = 1000) -> Ownership:
    def uid_of(path: PurePosixPath) -> int:
        if str(path) not in owners:
            raise HIDDEN
        return owners[str(path)]

    return Ownership.of(PurePosixPath("/opt/aisha/.env"), us, uid_of, entry_of)


@pytest.mark.parametrize(
    ("owners", "expected"),
    [
        pytest.param(
            {"/opt/aisha/.env": 999, "/opt/aisha": 999, "/opt": 0, "/": 0}, ("aisha", True, False), id="the service's"
        ),
        pytest.param(
            {"/opt/aisha": 999, "/opt": 0, "/": 0}, ("aisha", True, False), id="in the service's closed folder"
        ),
        pytest.param({"/opt/aisha/.env": 1000, "/": 0}, ("operator", False, False), id="ours"),
        pytest.param({"/opt/aisha/.env": 0, "/opt/aisha": 999, "/": 0}, ("root", False, True), id="root's"),
        pytest.param({}, ("operator", False, False), id="nothing to be seen"),
    ],
)
def test_an_owner_is_ours_or_root_or_foreign(owners: dict[str, int], expected: tuple[str, bool, bool]) -> None:
    """The file decides, or the nearest folder that can be seen where the file cannot."""
    found = whose(owners)
    assert (found.owner, found.is_foreign, found.is_roots) == expected


@pytest.mark.parametrize(
    ("folder", "heir"), [(999, "aisha"), (0, "operator")], ids=["the service's folder", "root's folders only"]
)
def test_what_is_root_s_goes_to_the_account_of_the_folder(folder: int, heir: str) -> None:
    """The heir is the owner of the nearest folder that is not root's, or else we."""
    assert whose({"/opt/aisha/.env": 0, "/opt/aisha": folder, "/opt": 0, "/": 0}).heir == heir


def test_an_account_without_a_name_is_its_number() -> None:
    """A number stands for a name that is not there, behind # where sudo reads it."""
    found = whose({"/opt/aisha/.env": 4242})
    assert (found.owner, found.sudo_name) == ("4242", "#4242")
    assert whose({"/opt/aisha/.env": 999}).sudo_name == "aisha"
