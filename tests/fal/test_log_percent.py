"""How far a training is, from its trainer's lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fal.queue_answers import read_percent

LINES = {
    "Loaded 14 training samples": None,
    "Step 260/1000, Loss: 0.31": None,
    " 37%|███▋      | 925/2500 [03:10<05:24,  4.86it/s]\r 38%|███▊      | 950/2500 [03:15<05:19,  4.86it/s]": 38,
    "steps: 120 loss: 0.1042": None,
    "100%|██████████| 14/14 [00:06<00:00]": None,
    "Checkpoint saved: model.safetensors (85.61 MB)": None,
    '{"traceback":"RuntimeError: 2400/2500"}': 96,
    "step 2500/2500": 99,
    "2501/2500": None,
    "1/2500/2500": None,
    "1.5/2500": None,
    "x" * 5000 + " 500/2500 ": 20,
    "": None,
}


@pytest.mark.parametrize("line", LINES)
def test_only_a_bar_over_our_own_steps_counts(line: str) -> None:
    """A line counts when its total is the training's number of steps; captioning and downloads draw bars, too."""
    assert read_percent([line], 2500) == LINES[line]


@pytest.mark.parametrize("steps", [None, 0, -1])
def test_without_known_steps_nothing_counts(steps: int | None) -> None:
    """Where nobody knows the number of steps no bar is believed."""
    assert read_percent(["10/2500", "0/0"], steps) is None


def test_the_furthest_bar_counts() -> None:
    """Lines overlap and come in any order: the furthest one counts."""
    assert read_percent(["900/1000", "100/1000"], 1000) == 90


@given(st.lists(st.text()), st.none() | st.integers(-5, 10**6))
def test_any_lines_are_read(lines: list[str], steps: int | None) -> None:
    """Whatever a trainer prints is read without an error, and is 0 to 99."""
    found = read_percent(lines, steps)
    assert found is None or 0 <= found <= 99
