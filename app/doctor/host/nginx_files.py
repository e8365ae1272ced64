"""Where nginx's configuration is read: from `nginx -T` where that is permitted, else from its files."""

import re
from pathlib import Path, PurePath

from app.doctor.host.commands import Run, run
from app.doctor.host.nginx_syntax import Directive, expand, read

FOLDER = Path("/etc/nginx")
MAIN = "nginx.conf"
_HEADING = re.compile(r"^# configuration file (.+):$", re.MULTILINE)


def configuration(*, run: Run = run, folder: Path = FOLDER) -> Directive | None:
    """Read the whole configuration, includes in their places; None without nginx.

    A configuration that may not be read is returned without directives.
    """
    answer = run(["nginx", "-T"])
    if answer is not None and answer.code == 0:
        return _of_printout(answer.text, folder)
    if not folder.is_dir():
        return None
    return expand(read("".join(_texts(folder, MAIN))), lambda pattern: _texts(folder, pattern))


def _of_printout(text: str, folder: Path) -> Directive:
    """Split the output of `nginx -T`: the main file first, each other one under its path, once."""
    _, *parts = _HEADING.split(text)
    files = dict(zip(parts[::2], parts[1::2], strict=True))

    def matching(pattern: str) -> list[str]:
        wanted = str(folder / pattern)
        return [content for path, content in files.items() if PurePath(path).match(wanted)]

    return expand(read(parts[1] if parts else text), matching)


def _texts(folder: Path, pattern: str) -> list[str]:
    whole = folder / pattern
    found = []
    for path in sorted(Path(whole.anchor).glob(str(whole.relative_to(whole.anchor)))):
        try:
            found.append(path.read_text(errors="replace"))
        except OSError:
            continue
    return found
