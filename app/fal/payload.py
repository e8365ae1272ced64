"""What a delivery says: fal's JSON in, `Reading` out. The only place that knows the fields of fal's answers.

Source: fal webhooks docs and real bodies (docs/fal.md).
"""

import re
from typing import Any
from urllib.parse import urlsplit

import orjson

from app.domain.errors import PayloadUnreadable
from app.domain.notification import Cause
from app.domain.training import Artifacts, Completed, Failed, Reading

ID_LIMIT = 255  # characters
DETAIL_LIMIT = 1000  # characters
ANSWER_LIMIT = 64 * 1024  # bytes
DEPTH_LIMIT = 32
CUTS = ((4000, 1000), (400, 50))  # (characters of a string, entries of a list or object), ever tighter until it fits

_CAUSES = {
    "content_policy_violation": Cause.CONTENT_POLICY,
    "face_detection_error": Cause.NO_FACE,
    "image_load_error": Cause.BAD_IMAGE,
    "unsupported_image_format": Cause.BAD_IMAGE,
    "image_too_small": Cause.IMAGE_SIZE,
    "image_too_large": Cause.IMAGE_SIZE,
    "invalid_archive": Cause.BAD_ARCHIVE,
    "file_too_large": Cause.BAD_ARCHIVE,
    "archive_file_count_below_minimum": Cause.TOO_FEW_IMAGES,
    "archive_file_count_exceeds_maximum": Cause.TOO_MANY_IMAGES,
    "file_download_error": Cause.DOWNLOAD,
    "request_timeout": Cause.TIMEOUT,
    "startup_timeout": Cause.TIMEOUT,
    "generation_timeout": Cause.TIMEOUT,
    "client_cancelled": Cause.CANCELLED,
    "client_disconnected": Cause.FAL_TROUBLE,
    "runner_scheduling_failure": Cause.FAL_TROUBLE,
    "runner_connection_timeout": Cause.FAL_TROUBLE,
    "runner_disconnected": Cause.FAL_TROUBLE,
    "runner_connection_refused": Cause.FAL_TROUBLE,
    "runner_connection_error": Cause.FAL_TROUBLE,
    "runner_incomplete_response": Cause.FAL_TROUBLE,
    "runner_server_error": Cause.FAL_TROUBLE,
    "internal_error": Cause.FAL_TROUBLE,
    "internal_server_error": Cause.FAL_TROUBLE,
    "downstream_service_error": Cause.FAL_TROUBLE,
    "downstream_service_unavailable": Cause.FAL_TROUBLE,
}
# Only for an error that no type explains: several endpoints still answer with a bare sentence.
_PHRASES = tuple(
    (re.compile(pattern, re.IGNORECASE), cause)
    for pattern, cause in (
        (r"content policy|nsfw|safety (?:checker|filter)", Cause.CONTENT_POLICY),
        (r"\b(?:no|not|detect\w*|find) (?:\w+ ){0,3}faces?\b|\bfaces? (?:was |were |is )?not ", Cause.NO_FACE),
        (r"timed? ?out\b", Cause.TIMEOUT),
        (r"cancell?ed", Cause.CANCELLED),
        (r"(?:too few|not enough|at least \d+) (?:\w+ )?(?:image|file|photo)", Cause.TOO_FEW_IMAGES),
        (r"(?:too many|at most \d+) (?:\w+ )?(?:image|file|photo)", Cause.TOO_MANY_IMAGES),
        (r"image (?:\w+ )?too (?:small|large)", Cause.IMAGE_SIZE),
        (r"\barchive|\bzip\b", Cause.BAD_ARCHIVE),
        (r"\bdownload", Cause.DOWNLOAD),
        (r"cannot identify image|(?:load|open|read|decode) (?:the )?image", Cause.BAD_IMAGE),
        (r"internal (?:server )?error|user is locked|exhausted balance", Cause.FAL_TROUBLE),
    )
)
_COMPLAINTS_READ = 20  # entries; more than an owner or operator would read
_READ_OF_A_SENTENCE = 4000  # characters; what is longer is no sentence
_URL = re.compile(r"\b(?:[a-z][a-z0-9+.-]{1,20}://|data:[a-z]+/|www\.)\S*", re.IGNORECASE)

_LONG_DIGITS = re.compile(rb"[0-9]{19}")
# Linear on any bytes: nothing in it gives back what it took, an open string runs to the end, and a number is only
# looked at from its first character. Strings are matched to be stepped over.
_TOKEN = re.compile(
    rb'"(?:[^"\\]++|\\.?)*+"?|(?<![0-9.eE+-])-?[1-9][0-9]{18,}+(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+', re.DOTALL
)


def read(body: bytes) -> Reading:
    """Understand one delivery.

    Raises PayloadUnreadable: `not_json`, `not_an_object`, `no_request_id`, `unknown_status`. Unknown fields are
    tolerated; of a repeated field the last counts. OK without a usable artifact is `Completed` with empty artifacts.
    """
    document = parse(body)
    if not isinstance(document, dict):
        raise PayloadUnreadable("not_an_object", "the body is JSON, but not an object")
    return understand(document)


def parse(body: bytes) -> Any:
    """Parse strict JSON. Integers beyond 64 bits become their digits as text: orjson would round or refuse them.

    Raises PayloadUnreadable `not_json`.
    """
    try:
        if _LONG_DIGITS.search(body) is None:
            return orjson.loads(body)
        # Text is legal in places where a number is not, so strictness is judged with a number.
        orjson.loads(_TOKEN.sub(lambda m: b"0" if _is_huge(m[0]) else m[0], body))
        return orjson.loads(_TOKEN.sub(lambda m: b'"%b"' % m[0] if _is_huge(m[0]) else m[0], body))
    except orjson.JSONDecodeError as error:
        raise PayloadUnreadable("not_json", f"the body is not JSON: {error.msg} at byte {error.pos}") from None


def understand(document: dict[str, Any]) -> Reading:
    """Understand a parsed delivery; raises PayloadUnreadable as `read` does."""
    request_id = _identifier(document.get("request_id"))
    if request_id is None:
        raise PayloadUnreadable("no_request_id", f"request_id is not text of 1 to {ID_LIMIT} printable characters")
    payload = document.get("payload")
    outcome: Completed | Failed
    match document.get("status"):
        case "OK":
            outcome = Completed(artifacts(payload))
        case "ERROR":
            outcome = failure(payload, document.get("error"), document.get("payload_error"))
        case _:
            raise PayloadUnreadable("unknown_status", "status is neither OK nor ERROR")
    return Reading(request_id, _identifier(document.get("gateway_request_id")), outcome, answer(document))


def artifacts(payload: object) -> Artifacts:
    """Collect what is proven to be there: https URLs and a finetune id, from the shapes of all known trainers."""
    if not isinstance(payload, dict):
        return Artifacts()
    return Artifacts(
        lora_url=_url(payload, "diffusers_lora_file") or _url(payload, "lora_file"),
        high_noise_lora_url=_url(payload, "high_noise_lora"),
        config_url=_url(payload, "config_file"),
        finetune_id=_printable(payload.get("finetune_id")),
    )


def failure(payload: object, error: object = None, payload_error: object = None) -> Failed:
    """Say why a training failed, from the body of an error; `error` and `payload_error` only when it says nothing.

    `detail` is at most 1000 characters without URLs, control characters or anything from `input` and `ctx`.
    """
    complaints = _complaints(payload)
    cause = next((_CAUSES[kind] for kind, _ in complaints if kind in _CAUSES), None)
    sentences = [sentence for _, sentence in complaints if sentence]
    if cause is None:
        cause = next((c for pattern, c in _PHRASES for s in sentences if pattern.search(s)), Cause.UNKNOWN)
    sentences = sentences or [_sentence(text) for text in (error, payload_error) if isinstance(text, str)]
    kinds = [_sentence(kind) for kind, _ in complaints if kind]
    detail = "; ".join(dict.fromkeys(filter(None, sentences or kinds))) or "fal gave no reason"
    return Failed(cause, detail if len(detail) <= DETAIL_LIMIT else detail[: DETAIL_LIMIT - 1] + "…")


def answer(document: dict[str, Any]) -> str:
    """Render fal's answer as JSON text that PostgreSQL takes as json and jsonb, at most 64 KiB of UTF-8.

    `detail[].input` (what a person typed or uploaded) is left out, U+0000 replaced, overlong parts replaced by a note.
    """
    for text_limit, entry_limit in CUTS:
        text = orjson.dumps(_kept(document, text_limit, entry_limit, DEPTH_LIMIT))
        if len(text) <= ANSWER_LIMIT:
            return text.decode()
    ids = {name: document.get(name) for name in ("request_id", "status")}
    return orjson.dumps({**_kept(ids, ID_LIMIT, len(ids), 1), "note": "too large to be kept here"}).decode()


def _is_huge(token: bytes) -> bool:
    if token.startswith(b'"') or not token.removeprefix(b"-").isdigit():
        return False
    return len(token) > 21 or not -(2**63) <= int(token) < 2**64  # noqa: PLR2004 int() of very many digits is refused


def _printable(value: object) -> str | None:
    """Pass text that no column, log or URL chokes on."""
    return value if isinstance(value, str) and value.strip() and value.isprintable() else None


def _identifier(value: object) -> str | None:
    text = _printable(value)
    return text if text is not None and len(text) <= ID_LIMIT else None


def _url(payload: dict[str, Any], name: str) -> str | None:
    file = payload.get(name)
    url = _printable(file.get("url")) if isinstance(file, dict) else None
    if url is None or " " in url or not url.startswith("https://"):
        return None
    try:
        return url if urlsplit(url).hostname else None
    except ValueError:
        return None


def _complaints(payload: object) -> list[tuple[str, str]]:
    """List (error type, sentence) of an error body; either may be empty."""
    kind: object = None
    detail = payload
    if isinstance(payload, dict):
        kind, detail = payload.get("error_type"), payload.get("detail")
    entries = detail if isinstance(detail, list) else [detail]
    found = [_complaint(entry) for entry in entries[:_COMPLAINTS_READ]]
    if isinstance(kind, str):
        found.append((kind, ""))
    return found


def _complaint(entry: object) -> tuple[str, str]:
    if isinstance(entry, str):
        return "", _sentence(entry)
    if not isinstance(entry, dict):
        return "", ""
    kind, sentence, echo = entry.get("type"), entry.get("msg"), entry.get("input")
    if not isinstance(sentence, str):
        sentence = ""
    elif isinstance(echo, str) and len(echo) > 2:  # noqa: PLR2004 shorter ones would tear holes into words
        sentence = sentence.replace(echo, "…")
    return kind if isinstance(kind, str) else "", _sentence(sentence)


def _sentence(text: str) -> str:
    cut = _URL.sub("[url]", text[:_READ_OF_A_SENTENCE])
    return " ".join("".join(c if c.isprintable() else " " for c in cut).split())


def _kept(value: Any, text_limit: int, entry_limit: int, depth: int) -> Any:
    if isinstance(value, str):
        return _kept_text(value, text_limit)
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        return "[deeper levels not kept]"
    if isinstance(value, list):
        kept = [_kept(entry, text_limit, entry_limit, depth - 1) for entry in value[:entry_limit]]
        return kept if len(value) <= entry_limit else [*kept, f"[{len(value) - entry_limit} more not kept]"]
    fields = list(value.items())
    return {
        _kept_text(name, text_limit): _kept(
            _without_input(entry) if name == "detail" else entry, text_limit, entry_limit, depth - 1
        )
        for name, entry in fields[:entry_limit]
    }


def _kept_text(text: str, limit: int) -> str:
    if len(text) > limit:
        return f"[{len(text)} characters not kept]"
    if text.isascii() and "\0" not in text:  # nearly all of them
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _without_input(detail: object) -> object:
    if isinstance(detail, dict):
        return {name: value for name, value in detail.items() if name != "input"}
    return [_without_input(e) if isinstance(e, dict) else e for e in detail] if isinstance(detail, list) else detail
