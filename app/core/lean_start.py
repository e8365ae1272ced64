"""What the server's process does before its imports: a safe console, an end in words, less time and memory."""

from __future__ import annotations  # an older Python, too, must come as far as the sentence about itself

import gc
import signal
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import NoReturn

OLDEST = (3, 11)


class Without(MetaPathFinder):
    """Answers that a package is not installed, while it stands in sys.meta_path."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Raise ModuleNotFoundError for the package; leave every other module to the finders behind this one."""
        del path, target
        if fullname == self._package:
            raise ModuleNotFoundError(f"{fullname} is not imported here", name=fullname)


def leave(code: int) -> NoReturn:
    """End the process with this exit code, whatever became of the console.

    A further Ctrl-C on the way out has nothing left to interrupt.
    """
    from app.core import console  # noqa: PLC0415  as below

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    console.flush()
    sys.exit(code)


def begin() -> None:
    """Settle the console, put off the collector, and import structlog without rich.

    From here on no error ends in a traceback on the console, and Ctrl-C ends the process at once until the server has
    a loop to stop in order: nothing is under way before that a kill could harm.

    What is imported stays, so looking through it for garbage, a dozen times on the way, finds nothing: a fifth of
    the start. Whoever calls this enables the collector when the server is assembled.

    structlog imports rich wherever it is installed, to draw tracebacks; ours are written by app.core.logger. rich is
    installed for the command line alone, and weighs five MiB. Nothing keeps it from being imported later.
    """
    if sys.version_info < OLDEST:
        found = sys.version.split()[0]
        sys.exit("Python 3.11 or newer is needed, and this is " + found + ": make setup, then .venv/bin/python")
    from app.core import console  # noqa: PLC0415  not before the version is known
    from app.core.last_words import LAST_WORDS  # noqa: PLC0415  as above

    console.settle()
    sys.excepthook = LAST_WORDS.hook
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.disable()
    without_rich = Without("rich")
    sys.meta_path.insert(0, without_rich)
    try:
        import structlog  # noqa: F401, PLC0415  the first import in this process decides
    finally:
        sys.meta_path.remove(without_rich)
