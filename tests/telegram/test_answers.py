from app.domain.send_outcome import Down, Rejected, SlowDown, TokenRefused, Uncertain, Unreachable
from app.telegram.answers import Answer, Delivered, Migrated, Misparsed, Unreadable, read_answer
from tests.bot_api import no, ok

ANSWERS: list[tuple[tuple[int, bytes], Answer]] = [
    (ok(5), Delivered(5)),
    (no(400, "group upgraded", migrate_to_chat_id=-100), Migrated(-100)),
    (no(400, "Bad Request: can't parse entities"), Misparsed("400 Bad Request: can't parse entities")),
    (no(429, "Too Many Requests: retry after 1", retry_after=1), SlowDown(1.0)),
    (no(429, "Too Many Requests: retry after 30", retry_after=30), SlowDown(30.0)),
    (no(429, "Too Many Requests: retry after 3600", retry_after=3600), SlowDown(3600.0)),
    (no(429, "Too Many Requests", retry_after=0.5), SlowDown(0.5)),
    (no(429, "Too Many Requests"), SlowDown(30.0)),
    (no(429, "Too Many Requests", retry_after="soon"), SlowDown(30.0)),
    (no(429, "Too Many Requests", retry_after=-5), SlowDown(30.0)),
    (no(429, "Too Many Requests", retry_after=10**400), SlowDown(30.0)),
    (no(429, "Too Many Requests", retry_after=10**12), SlowDown(86_400.0)),
    ((429, b"<html>429</html>"), SlowDown(30.0)),
    (
        no(403, "Forbidden: bot was blocked by the user"),
        Unreachable("403 Forbidden: bot was blocked by the user", blocked=True),
    ),
    (no(403, "Forbidden: user is deactivated"), Unreachable("403 Forbidden: user is deactivated", blocked=True)),
    (no(400, "Bad Request: USER_IS_BLOCKED"), Unreachable("400 Bad Request: USER_IS_BLOCKED", blocked=True)),
    (
        no(403, "Forbidden: bot can't initiate conversation with a user"),
        Unreachable("403 Forbidden: bot can't initiate conversation with a user", blocked=False),
    ),
    (
        no(403, "Forbidden: bot was kicked from the group chat"),
        Unreachable("403 Forbidden: bot was kicked from the group chat", blocked=False),
    ),
    (no(403, "Forbidden: new words"), Unreachable("403 Forbidden: new words", blocked=False)),
    (no(400, "Bad Request: chat not found"), Unreachable("400 Bad Request: chat not found", blocked=False)),
    (no(400, "Bad Request: PEER_ID_INVALID"), Unreachable("400 Bad Request: PEER_ID_INVALID", blocked=False)),
    (no(400, "Bad Request: message is too long"), Rejected("400 Bad Request: message is too long")),
    (no(400, "Bad Request: BUTTON_DATA_INVALID"), Rejected("400 Bad Request: BUTTON_DATA_INVALID")),
    ((400, b'{"ok":false,"error_code":400}'), Rejected("400 no description")),
    (no(401, "Unauthorized"), TokenRefused("401 Unauthorized")),
    (no(404, "Not Found"), TokenRefused("404 Not Found")),
    (no(409, "Conflict: terminated by other getUpdates"), Down("409 Conflict: terminated by other getUpdates")),
    (no(413, "Request Entity Too Large"), Rejected("413 Request Entity Too Large")),
    ((413, b"<html>413</html>"), Rejected("413 request too large")),
    (no(418, "a new refusal"), Rejected("418 a new refusal")),
    (no(500, "Internal Server Error"), Down("500 Internal Server Error")),
    (no(503, "Service Unavailable", retry_after=600), SlowDown(600.0)),
    ((502, b"<html>502 Bad Gateway</html>"), Down("502 not from Telegram itself")),
    ((503, b""), Down("503 not from Telegram itself")),
    ((504, b"<html>504</html>"), Uncertain("504 a proxy waited in vain for Telegram")),
    (no(504, "Gateway Timeout"), Uncertain("504 Gateway Timeout")),
    ((403, b"<html>Access denied by proxy</html>"), Down("403 not from Telegram itself")),
    ((404, b"404 page not found"), Down("404 not from Telegram itself")),
    ((302, b""), Down("302 not from Telegram itself")),
    ((400, b"[]"), Down("400 not from Telegram itself")),
    ((200, b'{"ok":true,"resu'), Unreadable()),
    ((200, b""), Unreadable()),
    ((200, b'{"ok":true,"result":{}}'), Unreadable()),
    ((200, b"\xff\xfe"), Unreadable()),
    ((200, no(400, "Bad Request: chat not found")[1]), Unreachable("400 Bad Request: chat not found", blocked=False)),
    ((200, b'{"ok":false}'), Down("None no description")),
    (no(400, "bad\r\n\x1b[31m\u202e" + "x" * 9999), Rejected("400 bad   [31m " + "x" * 185)),
]


def test_every_answer_has_one_meaning() -> None:
    """Fault 42: each shape of answer of docs/telegram.md, Telegram's own or a proxy's, has exactly one meaning."""
    for answer, expected in ANSWERS:
        assert read_answer(*answer) == expected, (answer, expected)
