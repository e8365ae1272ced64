"""Debian's Chromium, started without a window."""

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

# Chromium refuses a picture of a page that it has loaded and not yet drawn: seen in 5 of 540 on a busy machine, and in
# 0 of 360 after two frames. The first frame that is asked for begins before the page is on the screen.
_DRAWN = "new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(() => drawn(true))))"


@contextmanager
def chromium() -> Iterator[Any]:
    """Run a browser, or skip the test where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no chromium")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


def take_picture(session: Any, **options: Any) -> bytes:
    """Take a WebP of the page behind a DevTools session, once the page is drawn."""
    session.send("Runtime.evaluate", {"expression": _DRAWN, "awaitPromise": True})
    shot = session.send("Page.captureScreenshot", {"format": "webp", "quality": 70, **options})
    return base64.b64decode(shot["data"])
