"""The name of a fal endpoint: owner, app and perhaps a sub-path, such as `fal-ai/flux-lora-portrait-trainer`."""

import re

ENDPOINT_LIMIT = 255  # characters; width of webhook_jobs.endpoint
NAMESPACES = frozenset({"workflows", "comfy"})  # before the owner, so that the app is the third segment

_SYNTAX = re.compile(r"[a-z0-9._-]+(?:/[a-z0-9._-]+){1,4}")


def is_endpoint(text: str) -> bool:
    """Tell whether a text may be an endpoint: two to five segments, none of which climbs a path.

    >>> [is_endpoint(text) for text in ("fal-ai/flux/dev", "fal-ai", "fal-ai/..", "comfy/x", "Fal-ai/flux")]
    [True, False, False, False, False]
    """
    segments = text.split("/")
    return (
        len(text) <= ENDPOINT_LIMIT
        and _SYNTAX.fullmatch(text) is not None
        and not {".", ".."}.intersection(segments)
        and len(segments) >= app_length(segments[0])
    )


def app_length(first: str) -> int:
    """Count the segments that name the app of an endpoint with this first segment."""
    return 3 if first in NAMESPACES else 2
