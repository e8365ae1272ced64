"""Photos are looked at before anybody pays for a training with them."""

import io
import zipfile
from pathlib import Path

import pytest

from app.cli.photos import CAPTION, LARGEST, PhotosRefused, pack

JPEG, PNG = b"\xff\xd8\xff\xe0" + bytes(60), b"\x89PNG\r\n\x1a\n" + bytes(60)
WEBP = b"RIFF\x00\x00\x00\x00WEBP" + bytes(40)
GOOD = {"1.jpg": JPEG, "2.PNG": PNG, "3.webp": WEBP, "4.jpeg": JPEG}


def folder(tmp_path: Path, files: dict[str, bytes]) -> Path:
    path = tmp_path / "photos"
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def archive(tmp_path: Path, files: dict[str, bytes]) -> Path:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def names(packed: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(packed)).namelist()


def test_a_folder_becomes_a_flat_zip(tmp_path: Path) -> None:
    """Photos and their captions, side by side; what systems leave in folders stays out."""
    found = pack(folder(tmp_path, {**GOOD, "1.txt": "ол".encode(), ".DS_Store": b"x", "Thumbs.db": b"x"}))
    assert (found.photos, found.captions) == (4, 1)
    assert names(found.archive) == ["1.jpg", "1.txt", "2.PNG", "3.webp", "4.jpeg"]


def test_an_archive_of_a_folder_is_packed_anew(tmp_path: Path) -> None:
    """A zip that has its photos in a folder, as macOS makes it, is flat afterwards."""
    nested = {f"photos/{name}": content for name, content in GOOD.items()}
    found = pack(archive(tmp_path, {**nested, "__MACOSX/photos/._1.jpg": b"x"}))
    assert names(found.archive) == ["1.jpg", "2.PNG", "3.webp", "4.jpeg"]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"1.jpg": JPEG}, "1 photos"),
        ({}, "0 photos"),
        ({f"{number}.jpg": JPEG for number in range(101)}, "101 photos"),
        ({**GOOD, "5.heic": b"x"}, "5.heic"),
        ({**GOOD, "5.jpg": PNG}, "no jpeg"),
        ({**GOOD, "5.png": b""}, "no png"),
        ({**GOOD, "5.jpg": JPEG + bytes(LARGEST)}, "larger"),
        ({**GOOD, "lonely.txt": b"x"}, "lonely.txt"),
        ({**GOOD, "1.txt": b"\xff"}, "UTF-8"),
        ({**GOOD, "1.txt": b"x" * (CAPTION + 1)}, "caption of more"),
    ],
)
@pytest.mark.parametrize("make", [folder, archive])
def test_what_cannot_be_trained_with_is_named(tmp_path: Path, make: object, files: dict[str, bytes], why: str) -> None:
    """Too few, too many, another format, too large, a caption of nothing: the text names the file."""
    assert callable(make)
    with pytest.raises(PhotosRefused, match=why):
        pack(make(tmp_path, files))


def test_two_of_a_name_are_refused(tmp_path: Path) -> None:
    """In a flat zip one would take the other's place."""
    with pytest.raises(PhotosRefused, match="two of this name"):
        pack(archive(tmp_path, {**GOOD, "a/9.jpg": JPEG, "b/9.JPG": JPEG}))


def test_a_zip_that_promises_little_is_read_no_further(tmp_path: Path) -> None:
    """A few kilobytes that inflate to more than a photo may have are refused."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("1.jpg", JPEG + bytes(LARGEST))
    with pytest.raises(PhotosRefused, match="larger"):
        pack(path)


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    """Cut off, or something else altogether."""
    whole = archive(tmp_path, GOOD).read_bytes()
    for content in (b"", b"x" * 100, whole[: len(whole) // 2]):
        (tmp_path / "odd.zip").write_bytes(content)
        with pytest.raises(PhotosRefused, match="no zip"):
            pack(tmp_path / "odd.zip")


def test_links_and_folders_are_not_followed(tmp_path: Path) -> None:
    """A link in a zip and a folder in a folder are refused."""
    link = zipfile.ZipInfo("5.jpg")
    link.external_attr = 0o120777 << 16
    path = archive(tmp_path, GOOD)
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr(link, "/etc/passwd")
    with pytest.raises(PhotosRefused, match="link"):
        pack(path)
    place = folder(tmp_path, GOOD)
    (place / "more").mkdir()
    with pytest.raises(PhotosRefused, match="side by side"):
        pack(place)
