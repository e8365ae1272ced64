"""Photos for a training, from a folder or an archive: looked at, and put into the flat zip that trainers take.

Facts: docs/fal.md. A caption stands beside its photo: `one.jpg`, `one.txt`.
"""

import io
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from app.domain.errors import AishaError

FEWEST, ADVISED = 4, 10  # photos; fewer than the first teach nothing
MOST = 100
LARGEST = 20 * 1024 * 1024  # bytes of one photo
WHOLE = 90 * 1024 * 1024  # bytes of all: fal takes more in parts only
CAPTION = 4 * 1024  # bytes
ENTRIES = 1000
JUNK = {".ds_store", "thumbs.db", "desktop.ini"}
SUFFIXES = {"jpg": "jpeg", "jpeg": "jpeg", "png": "png", "webp": "webp"}


class PhotosRefused(AishaError):
    """The photos cannot be trained with; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Photos:
    """A flat zip of photos and their captions, and how many there are of each."""

    archive: bytes
    photos: int
    captions: int


def pack(path: Path) -> Photos:
    """Look at a folder or a zip of photos and pack them anew. Raises PhotosRefused, OSError."""
    read = _folder(path) if path.is_dir() else _archive(path)
    found: dict[str, bytes] = {}
    whole = 0
    for name, content in read:
        if name.lower() in JUNK or name.startswith("."):
            continue
        if name.lower() in {other.lower() for other in found}:
            raise PhotosRefused(f"{name}: there are two of this name, and the zip is flat")
        whole += len(content)
        if whole > WHOLE:
            raise PhotosRefused(f"more than {WHOLE // 1024**2} MB in all")
        found[name] = content
    photos = {PurePosixPath(name).stem for name in found if _check(name, found[name])}
    captions = {PurePosixPath(name).stem for name in found} - photos
    texts = [name for name in found if name.lower().endswith(".txt")]
    if captions:
        raise PhotosRefused(f"{min(captions)}.txt: a caption without its photo")
    count = len(found) - len(texts)
    if not FEWEST <= count <= MOST:
        raise PhotosRefused(f"{count} photos: at least {FEWEST} (better {ADVISED}) and at most {MOST} are needed")
    return Photos(_zip(found), count, len(texts))


def _folder(path: Path) -> Iterator[tuple[str, bytes]]:
    entries = sorted(path.iterdir())
    if len(entries) > ENTRIES:
        raise PhotosRefused(f"more than {ENTRIES} files")
    for entry in entries:
        if entry.is_dir():
            raise PhotosRefused(f"{entry.name}: a folder; the photos must lie side by side")
        if entry.stat().st_size > LARGEST:
            raise PhotosRefused(f"{entry.name}: larger than {LARGEST // 1024**2} MB")
        yield entry.name, entry.read_bytes()


def _archive(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > ENTRIES:
                raise PhotosRefused(f"more than {ENTRIES} files")
            for entry in entries:
                name = PurePosixPath(entry.filename.replace("\\", "/"))
                if "__MACOSX" in name.parts:
                    continue
                if entry.flag_bits & 1 or stat.S_ISLNK(entry.external_attr >> 16):
                    raise PhotosRefused(f"{name}: encrypted, or a link")
                yield name.name, _inflate(archive, entry)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise PhotosRefused(f"{path.name}: no zip that can be read") from error


def _inflate(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Read one entry, no further than a photo may be large, whatever its head promises."""
    with archive.open(entry) as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise PhotosRefused(f"{entry.filename}: larger than {LARGEST // 1024**2} MB")
    return content


def _check(name: str, content: bytes) -> bool:
    """Tell whether a file is a photo; a caption is none. Raises PhotosRefused for anything else."""
    suffix = PurePosixPath(name).suffix.lower().removeprefix(".")
    if suffix == "txt":
        try:
            content.decode()
        except UnicodeDecodeError:
            raise PhotosRefused(f"{name}: a caption must be UTF-8") from None
        if len(content) > CAPTION:
            raise PhotosRefused(f"{name}: a caption of more than {CAPTION} bytes")
        return False
    kind = SUFFIXES.get(suffix)
    if kind is None:
        raise PhotosRefused(f"{name}: jpg, png and webp are taken (and txt for captions)")
    if _format(content) != kind:
        raise PhotosRefused(f"{name}: its bytes are no {kind}")
    return True


def _format(content: bytes) -> str | None:
    if content.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    return "webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


def _zip(found: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:  # photos are compressed already
        for name in sorted(found):
            archive.writestr(zipfile.ZipInfo(name), found[name])
    return packed.getvalue()
