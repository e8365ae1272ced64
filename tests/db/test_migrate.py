"""Migrating beside a server at work."""

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import OperationalError

from app.db import migrate


class Broken(Exception):
    """What the driver raises, with PostgreSQL's code."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


def upgrades(monkeypatch: pytest.MonkeyPatch, sqlstate: str, times: int) -> list[str]:
    """Let the first `times` upgrades end so; return what was tried."""
    tried: list[str] = []

    def upgrade(_config: Config, revision: str) -> None:
        tried.append(revision)
        if len(tried) <= times:
            raise OperationalError("CREATE INDEX", {}, Broken(sqlstate))

    monkeypatch.setattr(command, "upgrade", upgrade)
    return tried


def test_a_deadlock_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's transaction took the tables in another order: nothing was changed, so it is begun anew (fault 12)."""
    tried = upgrades(monkeypatch, "40P01", 1)
    migrate._upgrade(Config())
    assert tried == ["head", "head"]


@pytest.mark.parametrize(("sqlstate", "tries"), [("40P01", migrate.TRIES), ("55P03", 1)])
def test_what_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch, sqlstate: str, tries: int) -> None:
    """After a few deadlocks, and after anything else at once, the failure is whoever called's."""
    tried = upgrades(monkeypatch, sqlstate, 99)
    with pytest.raises(OperationalError):
        migrate._upgrade(Config())
    assert len(tried) == tries
