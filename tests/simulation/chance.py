"""Randomness in streams: what one part of a world draws changes nothing for another part."""

import random
from typing import TypeVar

T = TypeVar("T")


def stream(seed: object, name: str) -> random.Random:
    """Make the stream of that name."""
    return random.Random(f"{seed}:{name}")


def one_of(chance: random.Random, weighted: dict[T, float]) -> T:
    """Draw a key by its weight."""
    return chance.choices(list(weighted), list(weighted.values()))[0]
