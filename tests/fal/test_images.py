"""What fal's image models say, in the shapes of docs/fal.md."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.images import Image
from app.domain.notification import Cause
from app.domain.training import Completed, Failed
from app.fal.images import IMAGES_LIMIT, URL_LIMIT, images, read
from app.twins import bodies

A, B = "https://v3.fal.media/files/a.png", "https://v3.fal.media/files/b.png"


def test_images_and_flags_are_read_in_order() -> None:
    """Each image keeps its place and its own flag; the rest of the delivery is read as every other."""
    reading = read(bodies.success("r1", bodies.images("r1", 3, flagged={1})))
    assert reading.request_id == "r1"
    assert isinstance(reading.outcome, Completed)
    assert [image.is_flagged for image in reading.outcome.images] == [False, True, False]
    assert len({image.url for image in reading.outcome.images}) == 3
    assert not reading.outcome.artifacts


def test_a_failure_is_read_as_a_training_s_is() -> None:
    """ERROR keeps its cause."""
    outcome = read(bodies.validation_failure("r1")).outcome
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.CONTENT_POLICY


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        (None, ()),
        ([], ()),
        ({}, ()),
        ({"images": None}, ()),
        ({"images": [{"url": A}]}, (Image(A),)),
        ({"image": {"url": A}}, (Image(A),)),
        ({"images": [{"url": A}, {"url": A}]}, (Image(A),)),
        ({"images": [{"url": A}, {"url": A}], "has_nsfw_concepts": [True, False]}, (Image(A, is_flagged=True),)),
        ({"images": [A, 7, None, {"url": "http://v3.fal.media/a"}, {"url": B}]}, (Image(B),)),
        ({"images": [{"url": "data:image/png;base64,iVBORw0KGgo="}]}, ()),
        ({"images": [{"url": A + "x" * URL_LIMIT}]}, ()),
        ({"images": [{}, {"url": B}], "has_nsfw_concepts": [True, False]}, (Image(B),)),
        ({"images": [{"url": A}, {"url": B}], "has_nsfw_concepts": [True]}, (Image(A, is_flagged=True), Image(B))),
        ({"images": [{"url": A}], "has_nsfw_concepts": True}, (Image(A, is_flagged=True),)),
        ({"images": [{"url": A}], "has_nsfw_concepts": ["maybe"]}, (Image(A, is_flagged=True),)),
        ({"images": [{"url": A}], "has_nsfw_concepts": None}, (Image(A),)),
    ],
)
def test_odd_outputs(payload: Any, found: tuple[Image, ...]) -> None:
    """What is no https URL is no image; a flag belongs to its place in the list, and an odd flag counts."""
    assert images(payload) == found


def test_an_endless_list_is_cut() -> None:
    """No more images are read than IMAGES_LIMIT."""
    assert len(images({"images": [{"url": f"{A}?{number}"} for number in range(1000)]})) == IMAGES_LIMIT


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(A),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["url", "images", "image"]), inner),
    max_leaves=8,
)


@given(payload=JSON, flags=JSON)
def test_any_output_can_be_read(payload: Any, flags: Any) -> None:
    """Whatever fal sends, images are https URLs, each once, and no error comes of it."""
    given_ = {**payload, "has_nsfw_concepts": flags} if isinstance(payload, dict) else payload
    urls = [image.url for image in images(given_)]
    assert len(urls) == len(set(urls)) <= IMAGES_LIMIT
    assert all(url.startswith("https://") for url in urls)
