"""Charts drawn at the server: bars and lines as SVG, without a script and without a style of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log10

WIDTH, HEIGHT = 640, 160
LEFT, BOTTOM, TOP = 44, 22, 8


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar in pixels, and what a pointer shows over it."""

    x: float
    y: float
    width: float
    height: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What a template draws: bars over equal steps, the top of the scale, and the labels below."""

    bars: tuple[Bar, ...]
    top: float
    labels: tuple[tuple[float, str], ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    base: int = HEIGHT - BOTTOM


def draw(values: Sequence[float | None], labels: Sequence[str], *, top: float | None = None) -> Chart:
    """Draw one bar per value; None leaves a gap. `labels` name the steps, of which five are written."""
    highest = round_up(max([value for value in values if value is not None], default=0)) if top is None else top
    step = (WIDTH - LEFT) / max(len(values), 1)
    room = HEIGHT - BOTTOM - TOP
    bars = []
    for number, value in enumerate(values):
        if value is None:
            continue
        height = room * value / highest
        bars.append(
            Bar(
                round(LEFT + number * step, 2),
                round(HEIGHT - BOTTOM - height, 2),
                round(max(step - 1, 0.5), 2),
                round(height, 2),
                f"{labels[number]}: {value:.4g}",
            )
        )
    every = max(1, ceil(len(labels) / 5))
    written = tuple((round(LEFT + n * step, 1), labels[n]) for n in range(0, len(labels), every))
    return Chart(tuple(bars), highest, written)


def round_up(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20 … at or above a value.

    >>> [round_up(value) for value in (0, 0.3, 1, 3, 47, 1001)]
    [1.0, 0.5, 1.0, 5.0, 50.0, 2000.0]
    """
    if value <= 0:
        return 1.0
    power = 10.0 ** ceil(log10(value) - 1)
    for factor in (1, 2, 5):
        if value <= factor * power:
            return factor * power
    return 10 * power
