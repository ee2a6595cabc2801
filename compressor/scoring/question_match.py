"""Tells how well units match a question: by the words of their record or turn, their own, and their neighbours'."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compressor.native import load_kernel
from compressor.scoring.base import UnitBatch
from compressor.scoring.heuristic_weights import HeuristicWeights

Floats = npt.NDArray[np.float32]
_kernel = load_kernel("relevance")


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns of conversations among the units: messages of users and agents, and turns in transcripts.

    Attributes:
        rows: [n] the unit that represents each unit's record or turn.
        spoken: [n] whether a unit is in a turn.
        group: [n] which conversation a turn is in.
        share: The share of the tokens that is in turns.
    """

    rows: npt.NDArray[np.int32]
    spoken: npt.NDArray[np.bool_]
    group: npt.NDArray[np.int32]
    share: float

    @staticmethod
    def of(units: UnitBatch) -> Turns:
        """Finds the turns."""
        speech = np.array([s.kind in ("user", "assistant") for s in units.sources], np.bool_)
        written = np.array([s.layout.kind == "dialogue" for s in units.sources], np.bool_)
        source = units.source_indices
        rows = np.where(speech[source], units.starts[source], units.rows).astype(np.int32)
        spoken = (speech | written)[source]
        group = np.where(speech[source], -1, source).astype(np.int32)
        total = float(units.costs.sum())
        return Turns(rows, spoken, group, float(units.costs[spoken].sum()) / max(total, 1.0))


def question_match(records: Floats, single: Floats, units: UnitBatch, turns: Turns, w: HeuristicWeights) -> Floats:
    """Returns [n] how well units match a question, in [0, 1]: their record, their own words, and their neighbours.

    Args:
        records: [n] BM25 of each record or turn, at the unit that represents it; the best is 1.
        single: [n] BM25 of each unit alone.
        units: The units.
        turns: The turns among them.
        w: The weights.
    """
    spread = _spread_over_turns(records, turns, w)
    if _kernel is None:
        return _combine_matches(spread, single, units, turns, w)
    out = np.empty(len(units), np.float32)
    arrays = spread, single, units.costs, turns.rows, units.source_indices, turns.spoken.view(np.uint8)
    _kernel.combine_matches(out, *arrays, w.turn_tokens, w.record_tokens, w.group, w.near)
    return out


def _combine_matches(records: Floats, single: Floats, units: UnitBatch, turns: Turns, w: HeuristicWeights) -> Floats:
    """[n] the match of units by their record, their own words, and their neighbours."""
    rows = turns.rows
    best = np.zeros(len(units), np.float32)
    np.maximum.at(best, rows, single)
    size = np.bincount(rows, units.costs, len(units))
    whole = np.where(turns.spoken, w.turn_tokens, w.record_tokens)
    floor = np.float32(w.group) * np.minimum(1, whole / np.maximum(size, 1)) ** 0.5
    own = single / np.maximum(best[rows], 1e-6)
    out: Floats = records[rows] * np.maximum(own, floor[rows])
    near = out * np.float32(w.near) * ~turns.spoken
    same = units.source_indices[1:] == units.source_indices[:-1]
    spread = out.copy()
    spread[1:] = np.maximum(spread[1:], near[:-1] * same)
    spread[:-1] = np.maximum(spread[:-1], near[1:] * same)
    if len(out) > 2:
        further = near * np.float32(0.5)
        same = units.source_indices[2:] == units.source_indices[:-2]
        spread[2:] = np.maximum(spread[2:], further[:-2] * same)
        spread[:-2] = np.maximum(spread[:-2], further[2:] * same)
    matched: Floats = (spread / max(float(spread.max()), 1e-6)).astype(np.float32)
    return matched


def _spread_over_turns(records: Floats, turns: Turns, w: HeuristicWeights) -> Floats:
    """[n] the relevance of records; turns get a part of the relevance of the turns around them."""
    if not turns.spoken.any() or not w.spread:
        return records
    out: Floats = records.copy()
    first = np.flatnonzero(turns.spoken & (turns.rows == np.arange(len(records))))
    reach = int(4 * w.spread_turns)
    kernel = np.exp(-np.abs(np.arange(-reach, reach + 1)) / w.spread_turns)
    kernel[reach] = 0
    for group in np.unique(turns.group[first]).tolist():
        mine = first[turns.group[first] == group]
        above = np.maximum(records[mine] - np.median(records[mine]), 0)  # words of every turn are no topic
        around = np.convolve(above, kernel, "full")[reach : reach + len(mine)]
        out[mine] += np.float32(w.spread) * around.astype(np.float32)
    scaled: Floats = (out / max(float(out.max()), 1e-6)).astype(np.float32)
    return scaled
