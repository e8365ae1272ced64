"""Lists at a terminal: no line is wider than it, and no value is cut in two."""

from hypothesis import given
from hypothesis import strategies as st

from app.cli.output import _stacked

COLUMNS = ("id", "request_id", "state", "reason", "attempt", "repeats", "received_at", "finished_at")
WORD = st.text("abcdefghij0123456789-_", min_size=1, max_size=36)


@given(st.lists(st.lists(WORD, min_size=8, max_size=8), min_size=1, max_size=5))
def test_every_value_stands_whole_within_80_columns(cells: list[list[str]]) -> None:
    """Whatever the row holds, each value of a usual length is one piece on a line of at most 80 columns."""
    lines = list(_stacked(COLUMNS, cells, 80))
    assert max(map(len, lines)) <= 80
    told = " ".join(lines).split()
    for row in cells:
        for value in row:
            assert value == "-" or value in told


def test_an_id_of_fals_is_one_word() -> None:
    """The request id stands on the first line, the rest below it."""
    request_id = "764cabcf-b745-4b3e-ae38-1200304cf45b"
    row = ["17", request_id, "dead", "artifact_absent", "3", "0", "2026-11-29 20:03:31+00:00", "-"]
    assert list(_stacked(COLUMNS, [row], 80)) == [
        f"17  {request_id}  dead  reason artifact_absent",
        "    attempt 3  repeats 0  received_at 2026-11-29 20:03:31+00:00",
    ]
