"""What tests of this process need not pay for: waiting for the disk, and compiling a statement once for every file.

No test outlives a power cut; an fsync costs some milliseconds, and each commit has one. SQLAlchemy keeps compiled
statements with an engine, and each test has a file and so an engine of its own.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, event

from app.db import engine, migrate

DURABLE = engine.tune_sqlite  # as the server opens a file
STATEMENTS = 5_000  # that are kept compiled


@contextmanager
def hurried() -> Iterator[None]:
    """Let nothing in this process wait for the disk; servers that tests start wait as ever."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        first = engine.open_database(f"sqlite:///{folder}/first.db").engine
        with first.connect():
            first._compiled_cache.capacity = STATEMENTS  # type: ignore[union-attr]  # every engine has one

        def tune(made: Engine) -> None:
            _unhurried(made)
            made.dialect, made._compiled_cache = first.dialect, first._compiled_cache

        patched.setattr(engine, "tune_sqlite", tune)
        patched.setattr(migrate, "tune_sqlite", _unhurried)
        patched.setattr(os, "fsync", lambda _descriptor: None)
        yield


def _unhurried(made: Engine) -> None:
    DURABLE(made)
    event.listen(made, "connect", lambda driver, _record: driver.execute("PRAGMA synchronous=OFF").close())
