"""Programs of the machine, asked and never told: by argument list, with a deadline, in a language we can read."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SECONDS = 4.0
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # a plain login lacks the sbin ones
KEPT = 1 << 20  # characters of an answer


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program said: its exit code and both streams together. `code` is None where it took too long."""

    code: int | None
    text: str


Run = Callable[[Sequence[str]], Answer | None]


def run(words: Sequence[str]) -> Answer | None:
    """Run `words` and return what it said; None where there is no such program, or we may not start it."""
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
