"""A few hundred bytes that say what a picture looks like, to find the frames worth comparing with a new one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compressor.caches import TwoGenerationCache
from compressor.images.picture import Picture
from compressor.images.row_hashes import find_single_rows

#: Frames further away than this have too little in common for `find_changes`: on recorded pages and drawn screens it
#: found changes up to 0.44, and other pages of the same layout begin at 0.43, most of them at 0.5.
NEAR_DISTANCE = 0.45
_GRADIENT_SIDE = 16
_GRID_COLUMNS, _GRID_ROWS = 16, 10
#: A difference of brightness of a whole cell from which two pictures count as different there, of 255.
_GRID_STEP = 32.0
_SKETCH_SIZE = 64


@dataclass(frozen=True)
class Fingerprint:
    """What a picture looks like.

    Attributes:
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        gradient: 256 bits: whether the picture becomes brighter from one cell to the cell on its right (dHash, Krawetz
            2013, with 16 x 16 cells).
        grid: The mean brightness of 16 x 10 cells, row by row.
        rows: The smallest of the numbers of all rows of pixels that occur once, see `row_hashes`: a sample that two
            pictures take in the same way, so that what it has in common is what they have in common, wherever it stands
            (bottom-k sketch, Cohen and Kaplan 2007).
    """

    width: int
    height: int
    gradient: int
    grid: bytes
    rows: frozenset[int]

    @property
    def size_bytes(self) -> int:
        """About how many bytes of memory it holds."""
        return 600 + 100 * len(self.rows)

    def distance(self, other: Fingerprint) -> float:
        """Returns how much two pictures differ, from 0 (alike) to 1. It takes a few microseconds.

        A picture that is another one scrolled, or one with a part of it replaced, is nearer to it than another page of
        the same site. The number only says which pictures to compare first: `find_changes` says what differs.
        """
        if (self.width, self.height) != (other.width, other.height):
            return 1.0
        return (self._layout_distance(other) + 1.0 - self.overlap(other)) / 2

    def overlap(self, other: Fingerprint) -> float:
        """Returns about which part of the rows of pixels of both pictures is in both, wherever it stands."""
        if not self.rows and not other.rows:  # both are empty
            return 1.0
        common = len(self.rows & other.rows)
        return common / (len(self.rows) + len(other.rows) - common)

    def _layout_distance(self, other: Fingerprint) -> float:
        bits = (self.gradient ^ other.gradient).bit_count() / _GRADIENT_SIDE**2
        steps = sum(abs(a - b) for a, b in zip(self.grid, other.grid, strict=True)) / len(self.grid)
        return max(bits, min(1.0, steps / _GRID_STEP))


_fingerprints: TwoGenerationCache[Fingerprint] = TwoGenerationCache()


def compute_fingerprint(picture: Picture) -> Fingerprint:
    """Returns what a picture looks like; the fingerprints of pictures that were seen before are remembered."""
    known = _fingerprints.get(picture.digest)
    if known is None:
        known = _compute(picture)
        _fingerprints.put(picture.digest, known)
    return known


def _compute(picture: Picture) -> Fingerprint:
    from PIL import Image

    small = Image.fromarray(picture.small_grey)
    cells = np.asarray(small.resize((_GRADIENT_SIDE + 1, _GRADIENT_SIDE), Image.Resampling.BOX))
    gradient = int.from_bytes(np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes(), "big")
    grid = small.resize((_GRID_COLUMNS, _GRID_ROWS), Image.Resampling.BOX).tobytes()
    return Fingerprint(picture.width, picture.height, gradient, grid, _sample_rows(picture))


def _sample_rows(picture: Picture) -> frozenset[int]:
    """Returns the smallest numbers of single rows, each with the number of its strip in the lowest bits."""
    single = [
        (find_single_rows(strip)[0][:_SKETCH_SIZE].astype(np.int64) << 3) + k
        for k, strip in enumerate(picture.row_hashes)
    ]
    return frozenset(np.sort(np.concatenate(single))[:_SKETCH_SIZE].tolist())
