"""Whether a secret's file is in git, where everyone who clones reads it."""

from collections.abc import Iterable
from pathlib import Path

from app.doctor.finding import Catalogue, Finding, Level, Wording, finding
from app.doctor.host.commands import Run, run
from app.domain.language import Language, msgid

# A repository's own configuration may name programs that git starts, and so run another account's program as root.
HARMLESS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "safe.directory=*")

WORDS: Catalogue = {
    "git.clean": Wording(Level.OK, msgid("no secret is in git")),
    "git.tracked": Wording(
        Level.FAIL,
        msgid("{file} is in git: everyone with a copy of the repository reads it"),
        msgid("Take the file out of git, then replace the secret: the history keeps the old one."),
        "git -C {folder} rm --cached -- {name}",
    ),
}


def look_for_tracked(files: Iterable[Path], language: Language, *, run: Run = run) -> list[Finding]:
    """Name each of these files that git tracks; without git, or outside a repository, none is."""
    tracked = [path for path in files if path.exists() and _is_tracked(path.absolute(), run)]
    if not tracked:
        return [finding(WORDS, "git.clean", language)]
    return [
        finding(WORDS, "git.tracked", language, file=path, folder=path.absolute().parent, name=path.name)
        for path in tracked
    ]


def _is_tracked(path: Path, run: Run) -> bool:
    answer = run(["git", *HARMLESS, "-C", str(path.parent), "ls-files", "--error-unmatch", "--", path.name])
    return answer is not None and answer.code == 0
