"""The images of one generation: what fal gave, and what of it a chat is still owed. Pure."""

import json
from dataclasses import dataclass

ALBUM_LIMIT = 10  # images that one album holds (Bot API, sendMediaGroup)


@dataclass(frozen=True, slots=True)
class Image:
    """One image that fal made: where it lies (https), and whether the model's own check flagged it."""

    url: str
    is_flagged: bool = False


@dataclass(frozen=True, slots=True)
class OwedImages:
    """The images that an owner is to get, in fal's order.

    Those that were flagged are not among `urls`; `withheld` counts them. `shown` of the rest stand in the chat already.
    `is_in_doubt`: a send had no answer and may have shown some, so what is left goes as links, which repeat no image.
    """

    urls: tuple[str, ...]
    withheld: int = 0
    shown: int = 0
    is_in_doubt: bool = False

    @property
    def left(self) -> tuple[str, ...]:
        """The images that are still to be shown."""
        return self.urls[self.shown :]

    @property
    def next_album(self) -> tuple[str, ...]:
        """Those of them that go next: as many as one album holds."""
        return self.left[:ALBUM_LIMIT]


def spell_images(images: OwedImages) -> str:
    """Spell what never changes of them as JSON text."""
    return json.dumps({"urls": images.urls, "withheld": images.withheld})


def read_images(text: str, shown: int, *, is_in_doubt: bool) -> OwedImages:
    """Read back what `spell_images` spelt, and what became of them since."""
    kept = json.loads(text)
    return OwedImages(tuple(kept["urls"]), kept["withheld"], shown, is_in_doubt)
