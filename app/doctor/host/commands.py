"""Runs programs of the machine for their output only: by argument list, with a deadline and LC_ALL=C."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SECONDS = 4.0
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # PATH may lack the sbin folders
KEPT = 1 << 20  # characters of an answer


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a program: exit code (None after the deadline), and stdout with stderr."""

    code: int | None
    text: str


Run = Callable[[Sequence[str]], Answer | None]


def run(words: Sequence[str]) -> Answer | None:
    """Run `words`; return None where there is no such program, or it may not be started."""
    program = shutil.which(words[0], path=SYSTEM_FOLDERS)
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603  an absolute path and a list, no shell
            [program, *words[1:]],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            env={"LC_ALL": "C", "PATH": SYSTEM_FOLDERS},
        )
    except subprocess.TimeoutExpired:
        return Answer(None, "")
    except OSError:
        return None
    return Answer(done.returncode, done.stdout.decode(errors="replace")[:KEPT])
