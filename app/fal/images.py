"""What a delivery about a generation says: the images of fal's answer. The rest of it is read as every delivery.

Source: fal's documentation of its image models (docs/fal.md): `images` with a `url` each, and `has_nsfw_concepts`, one
flag for each of them. An image that was flagged comes as a success all the same.
"""

from collections.abc import Sequence
from dataclasses import replace

from app.domain.images import Image
from app.domain.training import Artifacts, Completed, Reading
from app.fal import payload

URL_LIMIT = 2000  # characters
IMAGES_LIMIT = 40  # images of one answer; fal's models make up to ten


def read(body: bytes) -> Reading:
    """Understand one delivery. Raises PayloadUnreadable as `payload.read` does.

    OK without a usable image is `Completed` with none: data URIs (`sync_mode`) are none.
    """
    document = payload.parse_object(body)
    reading = payload.understand(document)
    if isinstance(reading.outcome, Completed):
        return replace(reading, outcome=Completed(Artifacts(), images(document.get("payload"))))
    return reading


def images(given: object) -> tuple[Image, ...]:
    """Collect the images of a model's output, each once; `image` alone is what models say that make one."""
    if not isinstance(given, dict):
        return ()
    listed = given.get("images")
    files: Sequence[object] = listed if isinstance(listed, list) else [given.get("image")]
    flags = given.get("has_nsfw_concepts")
    found: dict[str, Image] = {}
    for index, file in enumerate(files[:IMAGES_LIMIT]):
        url = payload.file_url(file)
        if url is None or len(url) > URL_LIMIT:
            continue
        is_flagged = _is_flagged(flags, index) or (url in found and found[url].is_flagged)
        found[url] = Image(url, is_flagged)
    return tuple(found.values())


def _is_flagged(flags: object, index: int) -> bool:
    """Tell whether an image was flagged; a flag of an odd type counts, for what is sent cannot be taken back."""
    if isinstance(flags, list):
        return index < len(flags) and bool(flags[index])
    return bool(flags)
