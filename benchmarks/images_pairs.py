"""Makes pairs of pictures that nearly show the same, to count folds that are false.

A third of them are recorded frames that differ a little. The others are a recorded frame and a changed copy: another
digit in a table, one pixel, a caret, two swapped cells, a badge, a line that is moved.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.images_frames import NEAR_PAIR, difference_of
from benchmarks.images_run import BrowsingRun, Target
from benchmarks.images_sent import Pixels, decode


@dataclass(frozen=True)
class PairOfFrames:
    """Two pictures that differ, as a run of two steps.

    Attributes:
        kind: How the second one was made.
        run: The run. Its folder has the two files.
        difference: Fraction of pixels that differ.
    """

    kind: str
    run: BrowsingRun
    difference: float


def near_pairs(runs: list[BrowsingRun], count: int, seed: int, folder: Path) -> Iterator[PairOfFrames]:
    """Yields `count` pairs whose pictures differ; `folder` takes their files, each pair in place of the one before."""
    rng = random.Random(seed)
    recorded = _recorded_pairs(runs, count // 3, rng)
    for run, first, second in recorded:
        yield _pair("recorded", run, run.png(first), run.png(second), folder)
    kinds = list(CHANGES)
    for i in range(count - len(recorded)):
        run = rng.choice(runs)
        old = run.png(rng.randrange(len(run.steps)))
        kind = kinds[i % len(kinds)]
        new = np.array(decode(old))
        while np.array_equal(new, decode(old)):
            CHANGES[kind](new, rng)
        yield _pair(kind, run, old, _png(new), folder)


def _recorded_pairs(runs: list[BrowsingRun], count: int, rng: random.Random) -> list[tuple[BrowsingRun, int, int]]:
    found = []
    for run in runs:
        distinct = list({step.frame: i for i, step in enumerate(run.steps)}.values())
        pairs = [(a, b) for a in distinct for b in distinct if a != b]
        found += [(run, a, b) for a, b in pairs if difference_of(run.png(a), run.png(b)) < NEAR_PAIR]
    return rng.sample(found, min(count, len(found)))


def _pair(kind: str, run: BrowsingRun, old: bytes, new: bytes, folder: Path) -> PairOfFrames:
    for name, data in (("old.png", old), ("new.png", new)):
        (folder / name).write_bytes(data)
    steps = tuple(
        replace(run.steps[0], words=words, frame=name, text="", result="Done.")
        for words, name in (("I open the page.", "old.png"), ("I look at it again.", "new.png"))
    )
    own = replace(run, name="pair", steps=steps, targets=(Target("What does the page show?", "", ()),), folder=folder)
    return PairOfFrames(kind, own, difference_of(old, new))


def _digit(pixels: Pixels, rng: random.Random) -> None:
    """Copies a place of the size of a digit to another place of the same row."""
    y, x, other = rng.randrange(60, 700), rng.randrange(10, 980), rng.randrange(10, 980)
    pixels[y : y + 10, x : x + 7] = pixels[y : y + 10, other : other + 7].copy()


def _pixel(pixels: Pixels, rng: random.Random) -> None:
    pixels[rng.randrange(pixels.shape[0]), rng.randrange(pixels.shape[1])] = rng.randrange(256)


def _caret(pixels: Pixels, rng: random.Random) -> None:
    y, x = rng.randrange(60, 700), rng.randrange(10, 980)
    pixels[y : y + 15, x] = 0


def _swap(pixels: Pixels, rng: random.Random) -> None:
    """Swaps two cells."""
    y, other = rng.randrange(60, 400), rng.randrange(400, 700)
    x = rng.randrange(10, 900)
    cell = pixels[y : y + 14, x : x + 60].copy()
    pixels[y : y + 14, x : x + 60] = pixels[other : other + 14, x : x + 60]
    pixels[other : other + 14, x : x + 60] = cell


def _badge(pixels: Pixels, rng: random.Random) -> None:
    y, x = rng.randrange(10, 40), rng.randrange(700, 1000)
    pixels[y : y + 12, x : x + 16] = (200, 50, 31)


def _line(pixels: Pixels, rng: random.Random) -> None:
    """Moves a line of text by two pixels."""
    y = rng.randrange(60, 700)
    pixels[y : y + 16] = np.roll(pixels[y : y + 16], 2, axis=1)


def _shade(pixels: Pixels, rng: random.Random) -> None:
    """Makes a cell a little darker, as a chosen row is."""
    y, x = rng.randrange(60, 700), rng.randrange(10, 900)
    pixels[y : y + 18, x : x + 90] = np.clip(pixels[y : y + 18, x : x + 90].astype(np.int16) - 5, 0, 255)


CHANGES: dict[str, Callable[[Pixels, random.Random], None]] = {
    "digit": _digit,
    "pixel": _pixel,
    "caret": _caret,
    "swapped cells": _swap,
    "badge": _badge,
    "moved line": _line,
    "shade": _shade,
}


def _png(pixels: Pixels) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()
