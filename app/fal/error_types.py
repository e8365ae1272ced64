"""Why a training failed: fal's error types and, where there is none, its sentences.

Source: fal errors docs and real bodies (docs/fal.md).
"""

import re

from app.domain.notification import Cause
from app.domain.training import Failed

DETAIL_LIMIT = 1000  # characters

_CAUSES = {
    "content_policy_violation": Cause.CONTENT_POLICY,
    "face_detection_error": Cause.NO_FACE,
    "image_load_error": Cause.BAD_IMAGE,
    "unsupported_image_format": Cause.BAD_IMAGE,
    "image_too_small": Cause.IMAGE_SIZE,
    "image_too_large": Cause.IMAGE_SIZE,
    "invalid_archive": Cause.BAD_ARCHIVE,
    "file_too_large": Cause.IMAGE_SIZE,
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
    "result_gone": Cause.RESULT_GONE,  # ours: app.fal.result_body
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
        (r"user is locked|exhausted balance", Cause.OUR_ACCOUNT),
        (r"internal (?:server )?error", Cause.FAL_TROUBLE),
    )
)
_COMPLAINTS_READ = 20  # entries; more than an owner or operator would read
_READ_OF_A_SENTENCE = 4000  # characters of a sentence that are read; the rest is cut
_URL = re.compile(r"\b(?:[a-z][a-z0-9+.-]{1,20}://|data:[a-z]+/|www\.)\S*", re.IGNORECASE)


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
