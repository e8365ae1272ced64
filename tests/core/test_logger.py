import doctest
import errno
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from enum import StrEnum
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import structlog

from app.core import log_handlers, log_redaction, setting_sources, text
from app.core import logger as subject
from app.core.log_redaction import LONGEST, plain, redact
from app.core.logger import register_secrets, reset_logging, setup_logging
from app.domain.errors import StartRefused

TOKEN = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
SECRET = "correct-horse/battery staple"
HOSTILE = "a\nb\rc\td\x00\x1b[31mred\x7f\x9b\u2028\u2029\u202e\u2066\ufeff\U000e0041\ud800z"
RAW = set("\n\r\t\x00\x1b\x7f\x9b\u2028\u2029\u202e\u2066\ufeff\U000e0041\ud800")


def logger_of(name: str) -> Any:
    """Return a logger as modules of the server have one; nothing of an earlier setup is cached in it."""
    return structlog.get_logger(f"app.{name}")


@pytest.fixture(autouse=True)
def _reset() -> Iterator[None]:
    yield
    structlog.contextvars.clear_contextvars()
    reset_logging()


class Logs:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, level: str = "INFO", **more: Any) -> None:
        setup_logging(level, self.folder, "api_server.log", "webhook.log", **more)

    def text(self, name: str = "api_server.log") -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def events(self, name: str = "api_server.log") -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text(name).splitlines()]


def raised(error: Exception) -> Exception:
    try:
        raise error  # noqa: TRY301 only what was raised has a traceback
    except Exception as caught:  # noqa: BLE001 any error, now with its traceback
        return caught


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path / "made" / "logs")


def test_fields(logs: Logs) -> None:
    """A line holds ts (UTC, ISO), level, event, logger and what the caller gave."""
    logs.start()
    structlog.contextvars.bind_contextvars(replica="r1")
    logger_of("flows.apply").warning("training_unknown", request_id="q", attempt=2, seen=None)
    (event,) = logs.events()
    assert event.pop("ts").endswith("Z")
    assert event == {
        "level": "warning",
        "event": "training_unknown",
        "logger": "app.flows.apply",
        "request_id": "q",
        "attempt": 2,
        "seen": None,
        "replica": "r1",
    }


def test_who_writes_where(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    """webhook.log holds the webhook's events only; api_server.log and stderr hold everything once; stdout nothing."""
    logs.start()
    logger_of("webhook").info("delivery_stored")
    logger_of("fal").info("keys_fetched")
    logging.getLogger("uvicorn.access").info('%s - "%s"', "1.2.3.4", "GET /")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.warn("careful", stacklevel=1)
    names = ["app.webhook", "app.fal", "uvicorn.access", "py.warnings"]
    assert [event["logger"] for event in logs.events()] == names
    assert [event["event"] for event in logs.events("webhook.log")] == ["delivery_stored"]
    told = capsys.readouterr()
    assert [line.rpartition(" ")[2] for line in told.err.splitlines()] == [f"[{name}]" for name in names]
    assert told.out == ""


def test_uvicorn_s_own_handlers_go(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    """Handlers that uvicorn brought along are dropped, so nothing is printed twice or unredacted."""
    uvicorn = logging.getLogger("uvicorn")
    uvicorn.addHandler(logging.StreamHandler(sys.stderr))
    uvicorn.propagate = False
    logs.start()
    logging.getLogger("uvicorn.error").info("started")
    assert capsys.readouterr().err.count("started") == 1


@pytest.mark.parametrize("name", ["aiohttp.client", "aiohttp.internal", "psycopg"])
def test_talkative_libraries(logs: Logs, name: str) -> None:
    """Libraries whose chatter holds URLs or SQL speak from WARNING on, even at LOG_LEVEL=DEBUG."""
    logs.start("DEBUG")
    logging.getLogger(name).info("GET https://api.telegram.org/bot…")
    logging.getLogger(name).warning("slow")
    assert [event["event"] for event in logs.events()] == ["slow"]


def test_level_can_change(logs: Logs) -> None:
    """A second setup replaces the first, nothing is written twice, and a logger used before the first follows it."""
    log = logger_of("x")
    log.info("hidden")
    logs.start("DEBUG")
    log.debug("shown")
    logs.start("CRITICAL")
    logger_of("x").error("hidden")
    assert [event["event"] for event in logs.events()] == ["shown"]


def test_before_setup(capsys: pytest.CaptureFixture[str]) -> None:
    """Without setup warnings reach stderr in one redacted line each, and stdout stays clean for --json."""
    logger_of("x").info("quiet")
    logger_of("x").warning("loud", key=TOKEN)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.endswith("warning  loud key=*** [app.x]\n")
    assert told.err.count("\n") == 1


def test_one_event_one_line(logs: Logs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No value, key, name or exception can break a line or reach a terminal raw, and JSON gives values back."""
    monkeypatch.setattr(
        logging.getLogger(), "handlers", []
    )  # pytest's own would keep the lone surrogate for its report
    logs.start()
    logger_of("webhook").info(HOSTILE, value=HOSTILE, deep=[{HOSTILE: HOSTILE}], raw=HOSTILE.encode("utf-8", "replace"))
    logging.getLogger(f"uvicorn.{HOSTILE}").error("%s", HOSTILE)
    logger_of("x").error("failed", exc_info=raised(ValueError(HOSTILE)), **{HOSTILE: 1})
    console = capsys.readouterr().err
    for told, lines in ((logs.text(), 3), (logs.text("webhook.log"), 1), (console, 3)):
        assert told.count("\n") == lines == len(told.splitlines())
        assert set(told) & RAW == {"\n"}
    assert logs.events()[0]["value"] == HOSTILE.replace("\ud800", "\\ud800")
    assert "\\x1b[31mred" in console


def test_colour(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a terminal gets colour, and only ours."""

    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    logs.start()
    logger_of("x").error("failed", why="\x1b[32mgreen")
    logger_of("x").info("fine")
    failed, fine = screen.getvalue().splitlines()
    assert failed.startswith("\x1b[31m")
    assert failed.endswith("\x1b[0m")
    assert (failed.count("\x1b"), fine.count("\x1b")) == (2, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"https://api.telegram.org/bot{TOKEN}/sendMessage", "https://api.telegram.org/bot***/sendMessage"),
        (TOKEN.replace(":", "%3A"), "***"),
        ("Key abc", "***-free"),
        ("Authorization: Key abc", "Authorization: ***"),
        ("{'authorization': 'Key abc:def', 'a': 1}", "{'authorization': '***', 'a': 1}"),
        ("sent Key 11-22:aabbcc today", "sent Key *** today"),
        ("Bearer abcdefghijklmnop", "Bearer ***"),
        ("Key rotation done", "Key rotation done"),
        ("postgresql+asyncpg://aisha:p@ss:w@db:5432/aisha", "postgresql+asyncpg://aisha:***@db:5432/aisha"),
        ("redis://:pw@h", "redis://:***@h"),
        ("postgresql://db/aisha?password=pw&sslmode=require", "postgresql://db/aisha?password=***&sslmode=require"),
        ("sslkey=/k&sslpassword=pw", "sslkey=/k&sslpassword=***"),
        ("https://fal.ai:443/x", "https://fal.ai:443/x"),
        ("2026-11-22T04:56:58Z 10:20", "2026-11-22T04:56:58Z 10:20"),
    ],
)
def test_shapes(text: str, expected: str) -> None:
    """What is shaped like a secret is masked without being registered; look-alikes stay."""
    assert redact(text) == ("Key ***" if expected == "***-free" else expected)


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        "correct-horse%2Fbattery%20staple",
        "correct-horse/battery%20staple",
        "correct-horse%2fbattery%20staple",
        "correct-horse%2Fbattery+staple",
    ],
)
def test_registered(logs: Logs, capsys: pytest.CaptureFixture[str], form: str) -> None:
    """A registered secret is masked in values, keys, bytes, messages of libraries and tracebacks, however encoded."""
    register_secrets([SECRET, "", "abc"])
    logs.start()
    log = logger_of("x")
    said = f"e {form}"
    log.info(said, a=form, b={form: [form, (form,)]}, c=form.encode(), d=ValueError(form), e=Path(form))
    logging.getLogger("uvicorn").warning("got %s", form)
    log.error("failed", exc_info=raised(OSError(form)), abc="abc")
    text = logs.text() + capsys.readouterr().err
    assert form not in text
    assert text.count("***") >= 2 * 8
    assert logs.events()[-1]["abc"] == "abc"


def test_a_crash_shows_no_secret(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    """A crash is a sentence on stderr; its traceback is in the log, with its words and no secret (faults 45, 60)."""
    logs.start()
    register_secrets([SECRET])
    error = raised(OSError(f"no route to postgresql://aisha:{SECRET}@db, bot{TOKEN}, {SECRET!r}"))
    with pytest.raises(SystemExit) as left:
        sys.excepthook(type(error), error, error.__traceback__)
    told = capsys.readouterr().err
    assert left.value.code == 70
    assert told.count("\n") == 1
    assert str(logs.folder / "api_server.log") in told
    kept = logs.events()[-1]["exception"]
    assert "OSError: no route to postgresql://aisha:***@db" in kept
    assert kept.startswith("Traceback")
    assert not any(secret in told + kept for secret in (SECRET, TOKEN))
    reset_logging()
    assert sys.excepthook is sys.__excepthook__


def test_secret_names(logs: Logs) -> None:
    """A value under a name that means a secret is masked whatever it looks like; numbers and None stay."""
    logs.start()
    logger_of("x").info(
        "e", token="q", headers={"Authorization": "q", "X-Api-Key": "q", "Accept": "*/*"}, bot_token=None, token_age=3
    )
    event = logs.events()[0]
    assert (event["token"], event["bot_token"], event["token_age"]) == ("***", None, 3)
    assert event["headers"] == {"Authorization": "***", "X-Api-Key": "***", "Accept": "*/*"}


def test_plain() -> None:
    """Any object becomes JSON's own types: huge, deep, cyclic and unprintable ones as well."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    class Colour(StrEnum):
        RED = "red"

    loop: list[Any] = []
    loop.append(loop)
    assert plain(Broken()) == "<Broken without text>"
    assert plain(2**70) == str(2**70)
    assert plain([True, 1.5, None, Colour.RED]) == [True, 1.5, None, "red"]
    assert "[...]" in str(plain(loop))
    long = plain("x" * LONGEST * 2 + "end")
    assert long.endswith("end")
    assert len(long) < LONGEST + 100


def test_rotation(logs: Logs) -> None:
    """A full file moves aside and only so many are kept."""
    logs.start(max_bytes=500, backups=2)
    for number in range(20):
        logger_of("x").info("e", number=number, padding="p" * 100)
    assert sorted(path.name for path in logs.folder.glob("api_server.log*")) == [
        "api_server.log",
        "api_server.log.1",
        "api_server.log.2",
    ]
    assert logs.events()[-1]["number"] == 19


def test_files_are_private(logs: Logs) -> None:
    """Others on the machine cannot read the logs."""
    logs.start()
    assert (logs.folder / "webhook.log").stat().st_mode & 0o007 == 0


def test_folder_is_a_file(tmp_path: Path) -> None:
    """A log folder that cannot be one is refused by its path, and nothing stays open or attached."""
    (tmp_path / "logs").write_text("")
    before = list(logging.getLogger().handlers)
    with pytest.raises(StartRefused, match=r"в журнал .*/logs/a\.log нельзя писать: .* LOG_DIR=") as caught:
        setup_logging("INFO", tmp_path / "logs", "a.log", "b.log")
    assert len(caught.value.findings) == 1
    assert logging.getLogger().handlers == before


@pytest.mark.parametrize(
    ("number", "mend"),
    [(errno.EACCES, r"sudo chown -R \S+ {}"), (errno.EROFS, r"ReadWritePaths={}"), (errno.ENOSPC, "LOG_DIR=…")],
)
def test_unwritable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, mend: str) -> None:
    """A log that cannot be written refuses the start with the command that mends it; the first file is closed again."""
    opened = log_handlers._private

    def deny(path: str, flags: int) -> int:
        if path.endswith("b.log"):
            raise OSError(number, "denied", path)
        return opened(path, flags)

    monkeypatch.setattr(log_handlers, "_private", deny)
    with pytest.raises(StartRefused, match=f"cannot write the log .*b.log: denied. Mend it: .*{mend.format(tmp_path)}"):
        setup_logging("INFO", tmp_path, "a.log", "b.log", language="en")


def test_account_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container whose user is a bare number the command names that number."""
    monkeypatch.setattr(os, "geteuid", lambda: 987654)
    assert subject._account() == "987654"


def test_losing_an_event(logs: Logs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that cannot be written is told once per handler, without its contents, and stops nobody."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own would raise
    logs.start()
    for _ in range(3):
        logging.getLogger("uvicorn").info("%d", SECRET)
    logger_of("x").info("next")
    told = capsys.readouterr().err
    assert told.count("logging failed: TypeError; event of uvicorn lost") == 2
    assert SECRET not in told
    assert [event["event"] for event in logs.events()] == ["next"]


@pytest.mark.parametrize("broken", ["full", "gone"])
def test_full_disk(
    logs: Logs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """A full disk, and even a stderr that is gone too, do not stop the caller."""

    def fail(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    logs.start()
    monkeypatch.setattr(log_handlers, "json_line", fail)
    if broken == "gone":
        closed = StringIO()
        closed.close()
        monkeypatch.setattr(sys, "stderr", closed)
    logger_of("x").info("e")
    monkeypatch.undo()
    assert capsys.readouterr().err.count("No space left on device; event of app.x lost") == (broken == "full")


def test_reset(logs: Logs) -> None:
    """reset_logging closes the files and gives every level back."""
    root = logging.getLogger()
    before = list(root.handlers)
    logs.start("DEBUG")
    files = [handler for _, handler in subject._attached if isinstance(handler, log_handlers.LogFile)]
    register_secrets([SECRET])
    reset_logging()
    assert root.handlers == before
    assert [handler._file.stream for handler in files] == [None, None]
    assert (root.level, logging.getLogger("app").level) == (logging.WARNING, logging.NOTSET)
    assert redact(SECRET) == SECRET


def test_filtered_level_is_free(logs: Logs) -> None:
    """An event below LOG_LEVEL costs no record, no processor and no look at its values."""

    class Untouchable:
        def __str__(self) -> str:
            raise AssertionError

    logs.start("WARNING")
    log = logger_of("x")
    log.debug("e", value=Untouchable())
    log.info("e", value=Untouchable())
    assert log.bind().info.__name__ == "_nop"
    assert logs.text() == ""


def test_levels(logs: Logs) -> None:
    """Each level has its name; a library's stack and error are kept; what stdlib was told to silence stays silent."""
    logs.start("DEBUG")
    log = logger_of("x")
    for say in (log.debug, log.info, log.warning, log.error, log.critical):
        say("e")
    logging.getLogger("app.x").setLevel(logging.CRITICAL)
    log.error("silenced")
    logging.getLogger("app.x").setLevel(logging.NOTSET)
    logging.getLogger("uvicorn").info("where", stack_info=True, exc_info=raised(ValueError("why")))
    *events, where = logs.events()
    assert [event["level"] for event in events] == ["debug", "info", "warning", "error", "critical"]
    assert where["exception"].endswith("ValueError: why")
    assert where["stack"].startswith("Stack (most recent call last)")


@pytest.mark.parametrize("module", [text, setting_sources, log_redaction], ids=lambda module: module.__name__)
def test_examples(module: ModuleType) -> None:
    """The examples in the docstrings are true."""
    failed, attempted = doctest.testmod(module)
    assert failed == 0 < attempted


def test_plain_structlog(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    """Modules that may not import core use structlog.get_logger: used before setup or without a name, it obeys too."""
    named, nameless = structlog.get_logger("app.flows.apply"), structlog.get_logger()
    named.info("quiet")
    named.warning("loud")
    logs.start()
    named.info("shown")
    named.debug("hidden")
    nameless.info("shown")
    assert [event["logger"] for event in logs.events()] == ["app.flows.apply", "app"]
    assert "quiet" not in capsys.readouterr().err


def test_capture(logs: Logs) -> None:
    """structlog.testing.capture_logs sees events of every level without setup, and of cached loggers after it."""
    log = logger_of("x")
    with structlog.testing.capture_logs() as early:
        log.debug("e")
    logs.start()
    log.info("f")
    with structlog.testing.capture_logs() as late:
        log.info("g")
    assert [event["event"] for event in (*early, *late)] == ["e", "g"]
