"""The shortened cast of `make demo` on the first screen of a README, and whether it is what the demo prints."""

import re

from tests.docs.project import between, page

CUT = "…"  # stands alone for lines that are left out, and at the end of a line for the rest of it


def cast(readme: str) -> list[str]:
    """What stands between the marks, line by line, without the fence and without what says that something is cut."""
    lines = [line for line in between(page(readme), "demo").splitlines() if not line.startswith("```")]
    return [line.removesuffix(CUT).strip() for line in lines if line.strip() != CUT]


def strayed(readme: str, printed: str) -> list[str]:
    """Name the lines of the cast that do not come in this order in what was printed; the width does not matter."""
    words = " ".join(re.sub(r"^\s*│", "", line) for line in printed.splitlines())
    rest = " ".join(words.split())
    found = []
    for line in cast(readme):
        wanted = " ".join(line.removeprefix("│").split())
        _, is_there, after = rest.partition(wanted)
        if is_there:
            rest = after
        else:
            found.append(line)
    return found
