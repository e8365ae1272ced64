"""fal's storage: photos are put there for as long as a training needs them; a locked account is told by it.

Facts: docs/fal.md.
"""

from urllib.parse import urlsplit

import orjson

from app.domain.errors import AishaError
from app.domain.network import is_loopback
from app.fal.client import Client, FetchFailed, send_once
from app.fal.payload import FalAnswer
from app.fal.queue_answers import document_of, refusal_of, told_by

INITIATE = "/storage/upload/initiate?storage_type=fal-cdn-v3"
LIFETIME = 7 * 24 * 3600  # s: deleting a request does not delete what it was given, so that it must expire by itself
# The first is read by fal's CDN, the second by the storage that gives the address (fal-client 1.0.3 sends both).
LIFECYCLES = ("X-Fal-Object-Lifecycle", "X-Fal-Object-Lifecycle-Preference")
ANSWER_LIMIT = 64 * 1024  # bytes
SECONDS, SLOWEST = 15.0, 900.0  # for the address, and for the bytes


class UploadFailed(AishaError):
    """The photos are not in fal's storage. `code` is stable: upload_failed, no_fal_key or another `Trouble`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class FalStorage:
    """Puts files into fal's storage. `storage_url` is FAL_STORAGE_URL; the key goes there and nowhere else."""

    def __init__(self, storage_url: str, api_key: str | None, client: Client) -> None:
        self._url = storage_url.rstrip("/") + INITIATE
        self._key = api_key
        self._client = client

    async def put(self, name: str, content_type: str, content: bytes) -> str:
        """Upload a file that expires after LIFETIME; return its address. Raises UploadFailed."""
        target, file_url = await self._order(name, content_type)
        # The address carries its own permission; our key must not travel to it.
        await self._send("PUT", target, content, {"Content-Type": content_type}, SLOWEST)
        return file_url

    async def is_open(self) -> bool:
        """Tell whether fal works for our account: it has just given an address to upload to, which is not used.

        This costs nothing and is refused to a locked account, which the state of a request is not.
        """
        return await self.refusal() is None

    async def refusal(self) -> str | None:
        """Ask as `is_open` does; return the code of UploadFailed that it met."""
        try:
            await self._order("account.txt", "text/plain")
        except UploadFailed as failed:
            return failed.code
        return None

    async def _order(self, name: str, content_type: str) -> tuple[str, str]:
        """Ask where to put a file; return that address and the one that it will have. Raises UploadFailed."""
        if self._key is None:
            raise UploadFailed("no_fal_key", "FAL_API_KEY is not set, so nothing can be uploaded")
        expiry = orjson.dumps({"expiration_duration_seconds": LIFETIME}).decode()
        headers = {"Authorization": f"Key {self._key}", "Content-Type": "application/json"}
        headers |= dict.fromkeys(LIFECYCLES, expiry)
        wanted = orjson.dumps({"content_type": content_type, "file_name": name})
        answered = await self._send("POST", self._url, wanted, headers, SECONDS)
        document = document_of(answered)
        target, file_url = document.get("upload_url"), document.get("file_url")
        if not (_is_secure(target) and _is_secure(file_url)):
            raise UploadFailed("upload_failed", "fal named no https address to upload to")
        return str(target), str(file_url)

    async def _send(self, method: str, url: str, body: bytes, headers: dict[str, str], seconds: float) -> FalAnswer:
        try:
            reply = await send_once(self._client, method, url, body, headers, limit=ANSWER_LIMIT, seconds=seconds)
        except FetchFailed as failed:
            raise UploadFailed("upload_failed", f"fal's storage gave no answer: {failed.why}") from None
        answered = FalAnswer(reply.status, {}, reply.body)
        if 200 <= reply.status < 300:  # noqa: PLR2004  success
            return answered
        document = document_of(answered)
        refusal = refusal_of(reply.status, document)
        code = "upload_failed" if refusal is None else refusal.trouble.value
        raise UploadFailed(code, told_by(reply.status, document))


def _is_secure(url: object) -> bool:
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
