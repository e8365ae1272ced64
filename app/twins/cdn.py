"""fal's CDN: files that are there, are not, come late, or come in an odd way. `mapped` leads a server to it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.twins.bodies import IMAGE_BYTES, IMAGE_NAMES, LORA_BYTES
from app.twins.faults import Fault, Instead, Twin

PIECE: Final = 65_536  # bytes
MISSING: Final = Instead(404, content_type="text/plain")
GONE: Final = Instead(410, content_type="text/plain")
MOVED: Final = Instead(302, headers={"location": "http://169.254.169.254/latest/meta-data/"})
DOWN: Final = Instead(503, content_type="text/plain")
PRIVATE: Final = Instead(403, content_type="text/plain")


class CdnOddity(StrEnum):
    """Ways in which a CDN may answer that has the file."""

    HEAD_REFUSED = "head_refused"  # 405; GET is fine
    RANGE_IGNORED = "range_ignored"  # HEAD refused as well, and all bytes sent
    LENGTHLESS = "lengthless"  # HEAD does not say how long the file is


class CdnTwin(Twin):
    """A local CDN below /files/. Every file is there, as long as a LoRA or an image is, until told otherwise.

    To be changed at any time, by path: `lengths` in bytes, `faults`, `oddities`; `fault` meets all the other files.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.time, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Start healthy."""
        self.lengths: dict[str, int] = {}
        self.faults: dict[str, Fault] = {}
        self.oddities: dict[str, CdnOddity] = {}
        self.fault: Fault | None = None
        super().__init__([Route("/files/{name:path}", self._file, methods=["GET", "HEAD"])], clock, sleep)

    async def _file(self, request: Request) -> Response:
        path = request.url.path
        call = self._note(request.method.lower(), path=path)
        fault = self.faults.get(path, self.fault)
        return await self._answer(call, fault, lambda: self._right(request))

    def _right(self, request: Request) -> Response:
        path = request.url.path
        usual = IMAGE_BYTES if path.endswith(IMAGE_NAMES) else LORA_BYTES
        length, oddity = self.lengths.get(path, usual), self.oddities.get(path)
        headers = {"content-length": str(length), "content-type": "application/octet-stream", "accept-ranges": "bytes"}
        if request.method == "HEAD":
            if oddity in (CdnOddity.HEAD_REFUSED, CdnOddity.RANGE_IGNORED):
                return Response(status_code=405, headers={"allow": "GET"})
            return StreamingResponse(_zeros(0), headers={} if oddity is CdnOddity.LENGTHLESS else headers)
        if request.headers.get("range") != "bytes=0-0" or oddity is CdnOddity.RANGE_IGNORED:
            return StreamingResponse(_zeros(length), headers=headers)
        if not length:
            return Response(status_code=416, headers={"content-range": "bytes */0"})
        return Response(b"\0", 206, {"content-range": f"bytes 0-0/{length}"}, "application/octet-stream")


async def _zeros(length: int) -> AsyncIterator[bytes]:
    for start in range(0, length, PIECE):
        yield bytes(min(PIECE, length - start))
