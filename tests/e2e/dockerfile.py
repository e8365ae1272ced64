"""The steps of a Dockerfile, replayed in a plain folder: no engine, no image, the same commands and files.

Absolute paths of the image (/opt, /build, /srv) are moved below one root that all stages share, so that
`COPY --from` finds in place what it would have copied. What this cannot show is the base image itself.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MOVED = re.compile(r"(?<![\w.])/(?=(?:opt|build|srv)\b)")
STEP_WITHIN = 600  # s


def steps(text: str) -> Iterator[tuple[str, str]]:
    """Yield instruction and arguments, continued lines joined, comments dropped."""
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for line in kept.replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word, " ".join(rest.split())


@dataclass
class Image:
    """What the steps leave behind."""

    root: Path
    workdir: Path
    environment: dict[str, str]
    user: str = "0:0"
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def at(self, path: str) -> Path:
        return Path(MOVED.sub(f"{self.root}/", path)) if path.startswith("/") else self.workdir / path

    def shell(self, command: str) -> None:
        subprocess.run(
            ["/bin/sh", "-euc", MOVED.sub(f"{self.root}/", command)],
            check=True,
            cwd=self.workdir,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            timeout=STEP_WITHIN,
        )


def replay(dockerfile: Path, context: Path, root: Path) -> Image:
    """Run every step below `root`; raises CalledProcessError with the step that fails."""
    ignored = dockerfile.with_name(dockerfile.name + ".dockerignore").read_text(encoding="utf-8").splitlines()
    base = {"PATH": f"{_interpreter(root)}:{os.defpath}", "HOME": str(root), "LD_LIBRARY_PATH": f"{root}/base/lib"}
    image = Image(root, root, {})
    for word, rest in steps(dockerfile.read_text(encoding="utf-8")):
        image.done.append(word)
        if word == "FROM":
            image.workdir, image.environment = root, dict(base)
        elif word == "COPY":
            _copy(image, rest, context, ignored)
        else:
            _step(image, word, rest)
    return image


def _step(image: Image, word: str, rest: str) -> None:
    match word:
        case "WORKDIR":
            image.workdir = image.at(rest)
            image.workdir.mkdir(parents=True, exist_ok=True)
        case "ENV":
            for pair in shlex.split(rest):
                name, _, value = pair.partition("=")
                moved = MOVED.sub(f"{image.root}/", value)
                image.environment[name] = moved.replace("$PATH", image.environment["PATH"])
        case "RUN":
            image.shell(rest)
        case "USER":
            image.user = rest
        case "CMD":
            image.command = json.loads(rest)
        case "HEALTHCHECK":
            image.healthcheck = json.loads(rest.partition(" CMD ")[2])
        case "EXPOSE" | "STOPSIGNAL":
            pass
        case _:
            raise ValueError(f"no way to replay {word}")


def _interpreter(root: Path) -> Path:
    """Stand in for the base image: return a folder with a `python` that every account may run."""
    found = Path(sys.base_prefix)
    if all(folder.stat().st_mode & 0o001 for folder in (found, *found.parents)):
        place = root / "base"
        place.mkdir()
        (place / "python").symlink_to(Path(sys.executable).resolve())
        return place
    # One that lies in somebody's home is taken along with its libpython, without what a server never needs.
    junk = shutil.ignore_patterns("test", "tests", "site-packages", "__pycache__", "*.a", "include", "share")
    shutil.copytree(found, root / "base", symlinks=True, ignore=junk)
    return root / "base" / "bin"


def _copy(image: Image, rest: str, context: Path, ignored: list[str]) -> None:
    words = shlex.split(rest)
    if words[0].startswith("--from="):
        assert words[1] == words[2], "stages share one root: a copy between them must keep its place"
        assert image.at(words[1]).exists()
        return
    *sources, target = words
    for source in sources:
        if source == ".":
            for entry in sorted(context.iterdir()):
                if f"!{entry.name}" in ignored:
                    _put(entry, image.at(target) / entry.name, context, ignored)
        else:
            assert f"!{Path(source).parts[0]}" in ignored, f"{source} never reaches the engine"
            _put(context / source, image.at(target) / Path(source).name, context, ignored)


def _put(source: Path, target: Path, context: Path, ignored: list[str]) -> None:
    if not source.is_dir():
        shutil.copy2(source, target)
        return

    def unwanted(folder: str, names: list[str]) -> list[str]:
        place = Path(folder).relative_to(context)
        return [name for name in names if name == "__pycache__" or (place / name).as_posix() in ignored]

    shutil.copytree(source, target, dirs_exist_ok=True, ignore=unwanted)
