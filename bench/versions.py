"""Which tree is measured: this one, or a commit built beside it with the environment that its own lock file names."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from app.core.setting_sources import environment

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".tools" / "bench"  # git-ignored
DONE = ".built"  # written last: a build that was broken off is begun anew

# In the other version's tree, by its own code: its tables need not be ours.
FILL = """
import sys
from app.twins.bodies import job_id
from bench.drain_books import Books, fill
url, first, amount = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
request_ids = [job_id(number) for number in range(first, first + amount)]
fill(Books(url), request_ids)
print("\\n".join(request_ids))
"""


class BuildFailed(Exception):
    """A commit could not be built; the message says why."""


@dataclass(frozen=True, slots=True)
class Version:
    """A source tree and the interpreter of its environment."""

    name: str  # what the reports call it
    root: Path
    python: str

    def environ(self, scratch: Path) -> dict[str, str]:
        """Return a bare environment whose .pyc files are written, and warm from the second start on."""
        kept = {name: environment()[name] for name in ("PATH", "HOME", "LANG") if name in environment()}
        return {**kept, "PYTHONPATH": str(self.root), "PYTHONPYCACHEPREFIX": str(scratch / "pycache")}

    def migrate(self, scratch: Path, url: str) -> None:
        """Bring a database to this version's schema, by its own command."""
        self._run(scratch, "-m", "app.cli", "migrate", DATABASE_URL=url)

    def fill(self, scratch: Path, url: str, first: int, amount: int) -> list[str]:
        """Store due deliveries and their trainings by this version's own code; return their request ids."""
        return self._run(scratch, "-c", FILL, url, str(first), str(amount)).split()

    def _run(self, scratch: Path, *arguments: str, **more: str) -> str:
        environ = {**self.environ(scratch), **more}
        done = subprocess.run(
            [self.python, *arguments], cwd=scratch, env=environ, check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise BuildFailed(f"{self.name}: {done.stderr[-2000:]}")
        return done.stdout


OURS = Version("ours", ROOT, sys.executable)


def build(commit: str) -> Version:
    """Return the version at `commit`, built once and kept below .tools/bench. Raises BuildFailed."""
    full = _checked(["git", "-C", str(ROOT), "rev-parse", "--verify", f"{commit}^{{commit}}"])
    tree = CACHE / full[:12]
    version = Version("before", tree, str(tree / ".venv" / "bin" / "python"))
    if (tree / DONE).exists():
        return version
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    archive = tree / "tree.zip"
    _checked(["git", "-C", str(ROOT), "archive", f"--output={archive}", full])
    shutil.unpack_archive(archive, tree)
    archive.unlink()
    environ = {
        **environment(),
        "PYTHONPATH": str(ROOT / ".tools"),
        "UV_PROJECT_ENVIRONMENT": str(tree / ".venv"),
    }
    command = [sys.executable, "-m", "uv", "sync", "--quiet", "--frozen", "--compile-bytecode", "--python"]
    _checked([*command, sys.executable], tree, environ)
    (tree / DONE).touch()
    return version


def _checked(command: list[str], cwd: Path = ROOT, environ: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, env=environ, check=False, capture_output=True, text=True)
    except FileNotFoundError as missing:
        raise BuildFailed(str(missing)) from None
    if done.returncode:
        raise BuildFailed(f"{' '.join(command[:4])}: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()
