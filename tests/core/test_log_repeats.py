"""One cause writes one traceback; later ones are a line with a count (fault 59)."""

from typing import Any

from app.core.log_repeats import AGAIN_AFTER, CAUSES, Repeats


class Elapsed:
    """A monotonic clock that stands still."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def here(words: str) -> None:
    raise ValueError(words)


def there(words: str) -> None:
    raise ValueError(words)


def logged(
    repeats: Repeats, words: str, event: str = "worker.step_failed", *, elsewhere: bool = False
) -> dict[str, Any]:
    error: ValueError | None = None
    try:
        (here, there)[elsewhere](words)
    except ValueError as caught:
        error = caught
    return dict(repeats(None, "error", {"event": event, "exc_info": error}))


def test_the_first_of_a_cause_is_whole_and_the_next_are_counted() -> None:
    """Whatever values stand in the words: rows differ, the cause does not."""
    repeats = Repeats()
    assert "exc_info" in logged(repeats, "row 1 of 'Anna'\nsecret detail")
    second, third = logged(repeats, "row 22 of 'Боря'"), logged(repeats, "row 3 of 'x'\nsecret detail")
    assert second == {"event": "worker.step_failed", "error": "ValueError: row 22 of 'Боря'", "times": 2}
    assert third == {"event": "worker.step_failed", "error": "ValueError: row 3 of 'x'", "times": 3}


def test_another_line_another_reason_or_another_event_is_another_cause() -> None:
    """Two faults are not taken for one because their type is the same."""
    repeats = Repeats()
    logged(repeats, "a")
    assert "exc_info" in logged(repeats, "a", elsewhere=True)
    assert "exc_info" in logged(repeats, "b")
    assert "exc_info" in logged(repeats, "a", "http.bug")


def test_a_cause_that_lasts_is_told_whole_once_a_day() -> None:
    """The file with its traceback may have been rotated out by then."""
    elapsed = Elapsed()
    repeats = Repeats(elapsed)
    logged(repeats, "a")
    elapsed.at = AGAIN_AFTER - 1
    assert "exc_info" not in logged(repeats, "a")
    elapsed.at = AGAIN_AFTER
    assert "exc_info" in logged(repeats, "a")
    assert "exc_info" not in logged(repeats, "a")


def test_memory_is_bounded() -> None:
    """However many causes there are."""
    repeats = Repeats()
    for number in range(2 * CAUSES):
        logged(repeats, "a", f"event{number}")
    assert len(repeats._seen) == CAUSES
