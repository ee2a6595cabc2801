"""Carries the worth of units over to their records, columns and neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.native import load_kernel
from compressor.scoring.base import UnitBatch
from compressor.text.segmenters.base import UnitFlag

Floats = npt.NDArray[np.float32]
_kernel = load_kernel("relevance")


def rare_cells(units: UnitBatch) -> npt.NDArray[np.bool_]:
    """Finds cells with a value that at most one row in twenty has, in columns of ten rows or more with few values.

    A value is identified by its first word and its number of words.

    Returns:
        [n] which units are such cells.
    """
    out = np.zeros(len(units), np.bool_)
    index = units.index
    cell = np.flatnonzero((units.columns >= 0) & (index.lengths > 0))
    if len(cell) < 10:
        return out
    starts = np.cumsum(index.lengths) - index.lengths
    value = index.token[starts[cell]].astype(np.int64) * 64 + np.minimum(index.lengths[cell], 63)
    column = units.columns[cell].astype(np.int64)
    pairs, inverse, times = np.unique(column << 40 | value, return_inverse=True, return_counts=True)
    height = np.bincount(column)
    kinds = np.bincount(pairs >> 40, minlength=len(height))
    few = (height >= 10) & (kinds * 5 <= height)
    out[cell] = few[column] & (times[inverse] * 20 <= height[column])
    return out


def column_means(total: npt.NDArray[Any], costs: Floats, columns: npt.NDArray[np.int32]) -> Floats:
    """Returns [n] total / costs; cells of a table get the ratio of their column's sums."""
    out: npt.NDArray[Any] = total / costs
    cell = columns >= 0
    if cell.any():
        of = columns[cell]
        means = np.bincount(of, total[cell]) / np.maximum(np.bincount(of, costs[cell]), 1e-6)
        out[cell] = means[of]
    means_or_own: Floats = out.astype(np.float32)
    return means_or_own


def propagate_relevance(relevance: Floats, units: UnitBatch, after: float, before: float, group: float) -> Floats:
    """Propagates relevance to neighbours, as an answer is often beside the words of the question.

    A record passes it to the next and the previous record; then the best unit of a record, block or section passes it
    to the rest. The children of a table's header are not a group.

    Args:
        relevance: [n] the relevance of units.
        units: The units.
        after: The part that the next record gets.
        before: The part that the previous record gets.
        group: The part that the rest of a group gets.
    """
    if _kernel is not None:
        spread = np.empty(len(units), np.float32)
        arrays = units.rows, units.source_indices, units.parents, units.flags
        _kernel.propagate(spread, relevance, *arrays, int(UnitFlag.HEADER), after, before, group)
        return spread
    out: Floats = relevance.copy()
    records = np.unique(units.rows)
    if len(records) > 1:
        value = relevance[records]
        same = units.source_indices[records[1:]] == units.source_indices[records[:-1]]
        out[records[1:]] = np.maximum(value[1:], np.float32(after) * value[:-1] * same)
        out[records[:-1]] = np.maximum(out[records[:-1]], np.float32(before) * value[1:] * same)
    parents = units.parents
    child = np.flatnonzero(parents >= 0)
    child = child[(units.flags[parents[child]] & UnitFlag.HEADER) == 0]
    if len(child):
        np.maximum.at(out, parents[child], out[child])
        out[child] = np.maximum(out[child], np.float32(group) * out[parents[child]])
    return out
