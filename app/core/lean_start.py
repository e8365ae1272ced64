"""What the server's process does before its imports, so that they cost less time and memory. No other process does."""

import gc
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class Without(MetaPathFinder):
    """Answers that a package is not installed, while it stands in sys.meta_path."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Raise ModuleNotFoundError for the package; leave every other module to the finders behind this one."""
        del path, target
        if fullname == self._package:
            raise ModuleNotFoundError(f"{fullname} is not imported here", name=fullname)


def begin() -> None:
    """Put off the collector, and import structlog without rich.

    What is imported stays, so looking through it for garbage, a dozen times on the way, finds nothing: a fifth of
    the start. Whoever calls this enables the collector when the server is assembled.

    structlog imports rich wherever it is installed, to draw tracebacks; ours are written by app.core.logger. rich is
    installed for the command line alone, and weighs five MiB. Nothing keeps it from being imported later.
    """
    gc.disable()
    without_rich = Without("rich")
    sys.meta_path.insert(0, without_rich)
    try:
        import structlog  # noqa: F401, PLC0415  the first import in this process decides
    finally:
        sys.meta_path.remove(without_rich)
