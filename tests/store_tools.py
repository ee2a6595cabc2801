"""What the tests of stores share: a clock to set and bytes of known size."""

from __future__ import annotations

import random


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def noise(seed: int, size: int) -> bytes:
    """Bytes that zstd cannot make smaller, so that sizes in the store are known: `size` and one byte."""
    return random.Random(seed).randbytes(size)
