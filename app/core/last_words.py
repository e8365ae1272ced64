"""What a process says that ends by an error: one sentence on stderr; a traceback goes where it can be read later.

Only the standard library and modules without dependencies: an error may be that those are not installed.
"""

import errno
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

from app.catalog import translate_all
from app.core.console import complain
from app.core.exit_codes import Exit
from app.core.log_redaction import redact
from app.core.text import one_line
from app.domain.language import Language, msgid

INTERRUPTED = 128 + signal.SIGINT  # what shells take for an end by Ctrl-C
OUR_PACKAGES = ("app", "migrations")
# What goes by itself, or by freeing something; any other OSError about a file has to be mended.
PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})

WORDS: Final = {
    "missing": msgid(
        "The package {name} is not installed for {python}. Run in the project's folder: make setup, "
        "then use .venv/bin/python"
    ),
    "broken": msgid("A package cannot be loaded: {cause}. Run in the project's folder: rm -rf .venv && make setup"),
    "file": msgid("{path}: {cause}. Check the path, its rights and the disk: ls -ld {path}; df {path}"),
    "folder": msgid("The folder that this was started from is gone. Go to the project's folder: cd /opt/aisha-backend"),
    "passing": msgid("The system refused: {cause}. Look at: df -h; ulimit -a; free -m"),
    "memory": msgid("There is not enough memory. Look at: free -m; ulimit -v"),
    "bug": msgid("This is a bug of ours: {kind} in {where}. The details: {place}. Please report it"),
    "nowhere": msgid("there is nowhere to write them: {cause}"),
}


class LastWords:
    """How this process ends by an error: in which language, and where a traceback goes if that file is there."""

    def __init__(self, language: Language = "ru", log_file: Path | None = None) -> None:
        self.language = language
        self.log_file = log_file

    def hook(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Serve as sys.excepthook. Raises SystemExit, by which the interpreter leaves with its code."""
        del kind
        raise SystemExit(self.tell(error.with_traceback(trace)))

    def tell(self, error: BaseException) -> int:
        """Say on stderr what went wrong, and return the exit code."""
        words = translate_all(WORDS, self.language)
        match error:
            case KeyboardInterrupt():
                return INTERRUPTED
            case BrokenPipeError():  # whoever read our output has left; there is nobody to tell
                return Exit.CHECK_FAILED
            case ModuleNotFoundError(name=str(name)) if name.partition(".")[0] not in OUR_PACKAGES:
                text, code = words["missing"].format(name=one_line(name), python=one_line(sys.executable)), Exit.CONFIG
            case ImportError(name=name) if (name or "").partition(".")[0] not in OUR_PACKAGES:
                text, code = words["broken"].format(cause=one_line(redact(str(error)))), Exit.CONFIG
            case OSError(filename=str() | bytes() as path, strerror=str(cause)):
                shown = one_line(os.fsdecode(path))
                text = words["file"].format(path=shown, cause=cause)
                code = Exit.TRY_AGAIN if error.errno in PASSING else Exit.CONFIG
            case FileNotFoundError() if _is_folder_gone():
                text, code = words["folder"], Exit.CONFIG
            case OSError(strerror=str(cause)) if error.errno in PASSING:
                text, code = words["passing"].format(cause=cause), Exit.TRY_AGAIN
            case MemoryError():
                text, code = words["memory"], Exit.TRY_AGAIN
            case _:
                text, code = self._bug(error, words), Exit.BUG
        complain(f"{text}\n")
        return int(code)

    def _bug(self, error: BaseException, words: dict[str, str]) -> str:
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
        try:
            place = one_line(str(self._keep(redact("".join(traceback.format_exception(error))))))
        except OSError as trouble:
            place = words["nowhere"].format(cause=trouble.strerror)
        return words["bug"].format(kind=type(error).__name__, where=one_line(where), place=place)

    def _keep(self, told: str) -> Path:
        """Write the traceback to the log, where there is one, or to a file of its own. Raises OSError."""
        event = {"ts": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "level": "critical", "event": "process.died"}
        line = json.dumps({**event, "logger": __name__, "exception": told}) + "\n"
        if self.log_file is not None:
            try:
                # Not made where it is missing: root's file would be in the server's way.
                descriptor = os.open(self.log_file, os.O_WRONLY | os.O_APPEND)
            except OSError:
                pass
            else:
                with os.fdopen(descriptor, "w", encoding="utf-8") as log:
                    log.write(line)
                return self.log_file
        descriptor, name = tempfile.mkstemp(prefix="aisha-webhook-", suffix=".log")
        with os.fdopen(descriptor, "w", encoding="utf-8") as own:
            own.write(line)
        return Path(name)


def _is_folder_gone() -> bool:
    try:
        Path.cwd()
    except OSError:
        return True
    return False


LAST_WORDS = LastWords()  # one process ends once
