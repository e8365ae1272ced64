"""Databases of both kinds that are copied and dropped, so that each kill has the same one before it."""

import shutil
import uuid
from pathlib import Path
from typing import Protocol

import psycopg

from tests.postgres import with_database


class Copies(Protocol):
    """Where databases stand; each is named by its URL. One that is copied must have nobody in it."""

    def new(self) -> str: ...

    def copy(self, url: str) -> str: ...

    def drop(self, url: str) -> None: ...

    def in_use(self, url: str) -> bool:
        """Tell whether somebody is connected, or was and has not been noticed to be gone."""


class Files:
    """SQLite's, each in a folder of its own: other files stand beside a database while it is open or after a kill."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new(self) -> str:
        folder = self._folder / uuid.uuid4().hex
        folder.mkdir()
        return f"sqlite:///{folder}/aisha.db"

    def copy(self, url: str) -> str:
        copied = self.new()
        shutil.copytree(_folder(url), _folder(copied), dirs_exist_ok=True)
        return copied

    def drop(self, url: str) -> None:
        shutil.rmtree(_folder(url))

    def in_use(self, url: str) -> bool:
        """Never: a file is let go with the process."""
        return False


def _folder(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///")).parent


class Databases:
    """Those of the PostgreSQL that `connection` is open to; `url` names any of its databases."""

    def __init__(self, url: str, connection: psycopg.Connection) -> None:
        self._url, self._connection = url, connection

    def new(self, template: str = "template1") -> str:
        name = f"migration_{uuid.uuid4().hex[:12]}"
        self._connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return with_database(self._url, name)

    def copy(self, url: str) -> str:
        return self.new(_name(url))

    def drop(self, url: str) -> None:
        self._connection.execute(f"DROP DATABASE {_name(url)}")

    def in_use(self, url: str) -> bool:
        others = "SELECT 1 FROM pg_stat_activity WHERE datname = %s"
        return self._connection.execute(others, [_name(url)]).fetchone() is not None


def _name(url: str) -> str:
    return url.rpartition("/")[2]
