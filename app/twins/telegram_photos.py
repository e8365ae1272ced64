"""sendPhoto and sendMediaGroup as the Bot API reads them: where each image comes from, and what is refused."""

from collections.abc import Callable
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, Final

import orjson

from app.twins.faults import Instead
from app.twins.telegram_faults import refusal

ALBUM: Final = range(2, 11)  # images of one sendMediaGroup
PHOTO_LIMIT: Final = 10_000_000  # bytes of an uploaded photo
ATTACHED: Final = "attach://"

Fields = dict[str, Any]


def read_form(content_type: str, body: bytes) -> Fields:
    """Read a multipart form: files as bytes, the rest as text."""
    form = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    fields: Fields = {}
    for part in form.iter_parts():
        value = part.get_payload(decode=True)
        name = str(part.get_param("name", header="content-disposition"))
        is_file = part.get_filename() is not None
        fields[name] = value if is_file or not isinstance(value, bytes) else value.decode()
    return fields


def captioned(method: str, fields: Fields) -> Fields:
    """Take out what a caption is made of, as the fields of a text."""
    first: Fields = fields
    if method == "sendmediagroup":
        media = media_of(fields)
        first = media[0] if media else {}
    text = {"text": first.get("caption", ""), "parse_mode": first.get("parse_mode", "")}
    return text | {name: fields[name] for name in ("reply_markup", "disable_notification") if name in fields}


def photos_of(method: str, fields: Fields, is_refused: Callable[[str], bool]) -> tuple[str, ...] | Instead:
    """Name the images of a call: their URLs, or `upload:` and the number of bytes; or say why they are not taken.

    A call is taken as a whole or refused as a whole. `is_refused` tells of a URL, or of `upload:…`.
    """
    media = media_of(fields) if method == "sendmediagroup" else [{"media": fields.get("photo")}]
    if method == "sendmediagroup" and len(media) not in ALBUM:
        return refusal(400, "Bad Request: wrong number of media in the album specified")
    named = [_named(str(one.get("media") or ""), fields) for one in media]
    for number, name in enumerate(named, 1):
        if not name:
            return refusal(400, "Bad Request: there is no photo in the request")
        if is_refused(name) or (name.startswith("upload:") and int(name.removeprefix("upload:")) > PHOTO_LIMIT):
            if method == "sendphoto":
                return refusal(400, "Bad Request: failed to get HTTP URL content")
            words = f'failed to send message #{number} with the error message "WEBPAGE_CURL_FAILED"'
            return refusal(400, f"Bad Request: {words}")
    return tuple(named)


def media_of(fields: Fields) -> list[Fields]:
    """Read the list of an album; empty where it is none."""
    media = fields.get("media")
    if isinstance(media, str):
        try:
            media = orjson.loads(media)
        except orjson.JSONDecodeError:
            return []
    return [one for one in media if isinstance(one, dict)] if isinstance(media, list) else []


def _named(media: str, fields: Fields) -> str:
    if not media.startswith(ATTACHED):
        return media
    file = fields.get(media.removeprefix(ATTACHED))
    return f"upload:{len(file)}" if isinstance(file, bytes) and file else ""
