"""Work done in a fork of this process, so that this one never holds what only the work imports.

A fork has everything there already that a second interpreter would import first. It copies one thread and shares open
connections: fork while the process has one thread and no connection, as a start has.
"""

from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

T = TypeVar("T")


class Apart(Generic[T]):
    """Work under way. What it returns is pickled; what it wants to be known of an error, it puts into its result."""

    def __init__(self, work: Callable[[], T], name: str) -> None:
        """Begin. Raises OSError where the system has no process or descriptor left."""
        forking = get_context("fork")
        self._receiver, sender = forking.Pipe(duplex=False)
        # A daemon ends with this process, should that not wait for the result.
        self._process = forking.Process(target=_send, args=(work, sender), name=name, daemon=True)
        self._process.start()
        sender.close()

    def result(self) -> T:
        """Wait for the result. Raises EOFError where the work was killed, or raised."""
        with self._receiver:
            try:
                found: T = self._receiver.recv()
            except OSError as error:  # it was killed while it was sending
                raise EOFError from error
            finally:
                self._process.join()
        return found


def _send(work: Callable[[], T], sender: "Connection[T, T]") -> None:
    with suppress(Exception):  # multiprocessing would print a traceback; who waits is told by the end of the pipe
        sender.send(work())
