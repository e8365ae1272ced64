"""How a process ends by an error: one sentence, the right code, the traceback where it can be read."""

import errno
import json
from pathlib import Path

import pytest

from app.core import last_words
from app.core.last_words import LastWords
from app.core.log_redaction import forget_secrets, register_secrets
from app.domain.language import Language

SECRET = "topsecret-value-7"


def missing(name: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"No module named {name!r}", name=name)


KNOWN = {
    "a dependency is not installed": (missing("orjson"), 78, "orjson"),
    "a dependency within a package": (missing("pydantic_core._pydantic_core"), 78, "make setup"),
    "a library of the system": (ImportError("libpq.so.5: cannot open shared object file"), 78, "libpq.so.5"),
    "a file is closed to us": (PermissionError(errno.EACCES, "Permission denied", "/etc/x"), 78, "/etc/x"),
    "a path is a folder": (IsADirectoryError(errno.EISDIR, "Is a directory", "data"), 78, "data"),
    "a path is bytes": (FileNotFoundError(errno.ENOENT, "No such file", b"\xff/a\nb"), 78, r"\udcff/a\nb"),
    "a read-only disk": (OSError(errno.EROFS, "Read-only file system", "logs"), 78, "logs"),
    "a full disk": (OSError(errno.ENOSPC, "No space left on device", "logs/x"), 75, "logs/x"),
    "no more descriptors": (OSError(errno.EMFILE, "Too many open files"), 75, "Too many open files"),
    "no more memory": (MemoryError(), 75, "free -m"),
}


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize("case", KNOWN)
def test_what_is_known_is_one_sentence(case: str, language: Language, capsys: pytest.CaptureFixture[str]) -> None:
    """What the environment lacks is named, with what to do and the exit code that fits (fault 60)."""
    error, code, named = KNOWN[case]
    assert LastWords(language).tell(error) == code
    told = capsys.readouterr().err
    assert named in told
    assert (told.count("\n"), "Traceback" in told) == (1, False)


def test_an_interruption_and_a_reader_that_left_are_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C and `| head` need no word; their codes are a shell's."""
    assert LastWords().tell(KeyboardInterrupt()) == 130
    assert LastWords().tell(BrokenPipeError(errno.EPIPE, "Broken pipe")) == 1
    assert capsys.readouterr().err == ""


def bug() -> Exception:
    try:
        KNOWN[f"a bug near {SECRET}\n\x1b[31m"]
    except LookupError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize("error", [bug(), missing("app.nowhere"), ImportError("x", name="app.main"), OSError("odd")])
def test_what_is_not_known_is_a_bug_of_ours(
    error: Exception, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence names kind, line and file; the traceback stands in that file as one line of JSON (fault 60)."""
    log = tmp_path / "api.log"
    log.write_text("before\n")
    register_secrets([SECRET])
    try:
        assert LastWords("en", log).tell(error) == 70
    finally:
        forget_secrets()
    told = capsys.readouterr().err
    assert (told.count("\n"), type(error).__name__ in told, str(log) in told) == (1, True, True)
    first, last = log.read_text().splitlines()
    kept = json.loads(last)
    assert (first, kept["event"], kept["level"]) == ("before", "process.died", "critical")
    assert type(error).__name__ in kept["exception"]
    assert SECRET not in told + last


def test_without_a_log_the_traceback_has_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No log is made for it, which might be root's and in the server's way: the sentence names another file."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert LastWords("en", tmp_path / "logs" / "api.log").tell(bug()) == 70
    [own] = tmp_path.iterdir()
    assert (str(own) in capsys.readouterr().err, own.stat().st_mode & 0o077) == (True, 0)


def test_where_nothing_can_be_written_the_sentence_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without any place for the traceback there still is a sentence, and the code."""
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    assert LastWords("en").tell(bug()) == 70
    assert "nowhere to write" in capsys.readouterr().err


def test_the_hook_leaves_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """As sys.excepthook it ends the process by SystemExit, whose code the interpreter takes over."""
    monkeypatch.setattr(last_words, "complain", lambda _text: True)
    with pytest.raises(SystemExit) as left:
        LastWords().hook(MemoryError, MemoryError(), None)
    assert left.value.code == 75
