"""Estimates how tall the smallest text on a picture is, without reading it.

A line of text is a band of rows in which the brightness changes often from left to right, between two gaps. The picture
is cut into cells of one row and 16 columns, and the brightness steps in each cell are counted. Vertical runs of cells
with steps are candidates. A run counts as text if runs beside it have nearly the same top and bottom; those of icons,
photos and borders seldom do. The number of steps in the rows around a run, over a wider part of the line, then shows
where capitals begin and where the baseline is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]

CELL = 16
#: Brightness steps that count: grey text (#767676) on white has 137 levels of contrast, of which antialiasing
#: leaves a third at its thinnest strokes.
_MIN_STEP = 26
#: Steps in 16 pixels of one row. A border has 1 or 2.
_MIN_STEPS = 3
#: Heights of the bands, in pixels, at which text is looked for. Larger text is looked for on the halved picture.
_BAND = (4, 22)
_HALVINGS = 3
#: Tops and bottoms of neighbours may differ by that many pixels: letters differ by an ascender.
_SLACK = 1
#: A band is text if, among so many cells on each side, at least this many have a band like it.
_NEIGHBOURS = 3
_MIN_ALIKE = 2
#: Cells on both sides of a band, beside half its height, over which steps are added up to find capitals and the
#: baseline: about 20 letters.
_REACH = 2
#: Rows above and below a band that are looked at.
_AROUND = 12
#: Capitals and ascenders begin at the row that has this fraction of the steps of the fullest row.
_CAPITAL = 0.05
#: Capitals rise above small letters by at most this fraction of their height.
_RISE = 0.5
#: The baseline is the lowest row that has this fraction. Rows of descenders have less.
_BASELINE = 0.45
#: Rows of a dashed line have at least this fraction of the steps of its fullest row; those of text vary more.
_EVEN = 0.9
#: Rows near a line of text, no further off than its height, have less than this fraction of those steps.
_FULL = 0.6
#: Text matters from this many cells on, about 12 letters, and from this fraction of all text cells on.
_MIN_CELLS = 5
_MIN_FRACTION = 0.05

_BITS = np.unpackbits(np.arange(1 << 16, dtype=np.uint16).view(np.uint8)).reshape(-1, 16).sum(axis=1, dtype=np.uint8)


def smallest_text_height(grey: Grey) -> float | None:
    """Returns the height of capitals of the smallest text that matters on a picture.

    Args:
        grey: The brightness of its pixels, shape [height, width].

    Returns:
        The height in pixels, or None if no text was found.
    """
    scale = 1
    for _ in range(_HALVINGS):
        heights = text_heights(grey)
        if len(heights) >= _MIN_CELLS:
            needed = max(_MIN_CELLS, int(_MIN_FRACTION * len(heights)))
            return float(np.partition(heights, needed - 1)[needed - 1]) * scale
        if min(grey.shape) < 2 * CELL:
            break
        grey = halve(grey)
        scale *= 2
    return None


def text_heights(grey: Grey) -> npt.NDArray[np.int64]:
    """Returns the height of capitals at each cell of text, in pixels, in no order.

    Args:
        grey: The brightness of its pixels, shape [height, width].
    """
    steps = count_steps(find_steps(grey))
    tops, bottoms, columns = find_bands(steps)
    if not len(tops):
        return np.zeros(0, np.int64)
    return _capital_heights(steps, tops, bottoms, columns)


def text_fraction(grey: Grey) -> float:
    """Returns about which fraction of what is drawn on a picture is text, without reading it.

    Paragraphs, lists and tables have 0.93 to 1, screens with icons and photos 0.3 to 0.8.

    Args:
        grey: The brightness of its pixels, shape [height, width].
    """
    steps = count_steps(find_steps(grey))
    busy = steps >= _MIN_STEPS
    total = int(busy.sum())
    if not total:
        return 0.0
    tops, bottoms, columns = find_bands(steps, min_alike=1)
    around = (bottoms - tops) // 2 + 1  # capitals above it, descenders below it
    changes = np.zeros((busy.shape[0] + 1, busy.shape[1]), np.int32)
    np.add.at(changes, (np.maximum(tops - around, 0), columns), 1)
    np.add.at(changes, (np.minimum(bottoms + around, busy.shape[0]), columns), -1)
    text = np.cumsum(changes, axis=0)[:-1] > 0
    text[:, 1:] |= text[:, :-1]  # half a word in the next cell
    text[:, :-1] |= text[:, 1:]
    return int(busy[text].sum()) / total


def halve(grey: Grey) -> Grey:
    """Returns the picture at half its size; each pixel is the mean of four."""
    height, width = grey.shape[0] // 2 * 2, grey.shape[1] // 2 * 2
    whole = grey[:height, :width]
    sums = whole[0::2].astype(np.uint16) + whole[1::2]
    halved: Grey = ((sums[:, 0::2] + sums[:, 1::2]) >> 2).astype(np.uint8)
    return halved


def find_steps(grey: Grey) -> npt.NDArray[np.bool_]:
    """Returns where the brightness changes from a pixel to its right neighbour, shape [height, width // 16 * 16]."""
    width = max(0, (grey.shape[1] - 1) // CELL * CELL)
    left, right = grey[:, :width], grey[:, 1 : width + 1]
    step = np.maximum(left, right)
    step -= np.minimum(left, right)
    found: npt.NDArray[np.bool_] = step >= _MIN_STEP
    return found


def count_steps(steps: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Returns the number of brightness steps in each cell of one row and 16 columns, shape [height, width // 16]."""
    if not steps.size:
        return np.zeros((steps.shape[0], steps.shape[1] // CELL), np.uint8)
    counts: npt.NDArray[np.uint8] = _BITS[np.packbits(steps, axis=1).view(np.uint16)]
    return counts


def find_bands(steps: npt.NDArray[np.uint8], min_alike: int = _MIN_ALIKE) -> tuple[Any, Any, Any]:
    """Returns top, bottom (outside) and column of the runs of cells that have neighbours like them."""
    height, columns = steps.shape
    if not columns:
        return (np.zeros(0, np.int64),) * 3
    full = np.zeros((columns, height + 2), np.int8)
    full[:, 1:-1] = (steps >= _MIN_STEPS).T
    edges = np.diff(full, axis=1).ravel()
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    length = ends - starts
    row = starts % (height + 1)
    whole = (row > 1) & (row + length < height - 1)  # the picture's edge cuts the others
    fits = whole & (length >= _BAND[0]) & (length <= _BAND[1])
    starts, ends = starts[fits], ends[fits]
    stride = height + 1
    # At each row where a run starts: its length. A neighbour's run is looked up a column further, some rows off.
    table = np.zeros((columns + 2 * _NEIGHBOURS) * stride + 2 * _SLACK, np.int16)
    base = _NEIGHBOURS * stride + _SLACK
    length = ends - starts
    table[starts + base] = length
    alike = np.zeros(len(starts), np.int8)
    for column in range(-_NEIGHBOURS, _NEIGHBOURS + 1):
        for row in range(-_SLACK, _SLACK + 1) if column else ():
            other = table[starts + base + column * stride + row]
            alike += (other > 0) & (np.abs(other + row - length) <= _SLACK)
    starts, ends = starts[alike >= min_alike], ends[alike >= min_alike]
    return starts % stride, ends % stride, starts // stride


def _capital_heights(steps: npt.NDArray[np.uint8], tops: Any, bottoms: Any, columns: Any) -> npt.NDArray[np.int64]:
    """Returns the number of rows from the top of the capitals to the baseline, for each run."""
    height = steps.shape[0]
    most = _REACH + _BAND[1] // 2
    padded = np.pad(steps, ((_AROUND, _AROUND + _BAND[1]), (most + 1, most)))
    sums = np.cumsum(padded, axis=1, dtype=np.uint32)
    rows = np.arange(-_AROUND, _BAND[1] + _AROUND)
    at = tops[:, None] + _AROUND + rows
    at = np.minimum(at, height + 2 * _AROUND + _BAND[1] - 1)
    reach = _REACH + (bottoms - tops) // 2
    last, before = (columns + most + 1 + reach)[:, None], (columns + most - reach)[:, None]
    profile = (sums[at, last] - sums[at, before]).astype(np.float32)
    inside = (rows >= 0) & (rows < (bottoms - tops)[:, None])
    fullest = np.where(inside, profile, 0).max(axis=1, keepdims=True)
    # Rows between the band and the first one above it that is nearly empty belong to capitals and ascenders.
    above = profile[:, _AROUND - 1 :: -1] >= _CAPITAL * fullest
    raised = np.where(above.all(axis=1), _AROUND, above.argmin(axis=1))
    raised = np.minimum(raised, np.ceil(_RISE * (bottoms - tops)).astype(np.int64))
    low = inside & (profile >= _BASELINE * fullest)
    baseline = low.shape[1] - low[:, ::-1].argmax(axis=1) - _AROUND
    # A band with equal rows is a dashed line.
    dashed = np.where(inside, profile, np.inf).min(axis=1) >= _EVEN * fullest[:, 0]
    # A band next to rows that are as full is a part of larger letters.
    length = (bottoms - tops)[:, None]
    near = ((rows >= -length) & (rows < 0)) | ((rows >= length) & (rows < 2 * length))
    beside = np.where(near, profile, 0).max(axis=1)
    return np.asarray((raised + baseline)[~dashed & (beside < _FULL * fullest[:, 0])], np.int64)
