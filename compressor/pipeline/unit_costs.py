"""Tells what each unit of a block costs in tokens. `estimate_tokens` has a native kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from compressor.native import load_kernel
from compressor.pipeline.block_edit import BlockEdit
from compressor.text.segmenters.base import Spans
from compressor.text.segmenters.span_layout import SpanLayout

Costs = npt.NDArray[np.float32]

#: Tokens per character by the class of the character: letters run together, digits come in threes, punctuation stands
#: alone. Only the proportions count, because costs are scaled to the exact count of the source.
DENSITY = np.full(256, 0.5, np.float32)
DENSITY[[*range(65, 91), *range(97, 123), 32]] = 0.22
DENSITY[48:58] = 0.4

_kernel = load_kernel("unit_costs")


def unit_costs(edits: Sequence[BlockEdit]) -> list[Costs]:
    """Returns the tokens of each unit of each block.

    They are counted from the encoding of the whole text. Units that are not stretches of it (in JSON and tables) are
    estimated from its count.
    """
    costs = [None if _has_stretches(edit) else _estimate(edit) for edit in edits]
    exact = [i for i, found in enumerate(costs) if found is None]
    if exact:
        layouts = [edits[i].layout for i in exact]
        counter = edits[exact[0]].counter
        counted = counter.span_costs([layout.text for layout in layouts], [layout.spans for layout in layouts])
        for i, found in zip(exact, counted, strict=True):
            costs[i] = found
    return [found for found in costs if found is not None]


def _has_stretches(edit: BlockEdit) -> bool:
    """Returns whether the units of a block are stretches of its text."""
    block, layout = edit.block, edit.layout
    if block.kind == "image":
        return False
    return layout.text == block.text or (edit.is_recut and isinstance(layout, SpanLayout))


def _estimate(edit: BlockEdit) -> Costs:
    block, layout = edit.block, edit.layout
    if block.kind == "image":
        return np.array([block.tokens], np.float32)
    rate = block.tokens / max(float(_density(block.text).sum()), 1e-6)
    if _kernel is None:
        return estimate_tokens(layout.text, layout.spans, rate)
    out = np.empty(len(layout.spans), np.float32)
    _kernel.estimate_tokens(layout.text, np.ascontiguousarray(layout.spans, np.int32), DENSITY, rate, out)
    return out


def estimate_tokens(text: str, spans: Spans, rate: float) -> Costs:
    """Returns the estimated tokens of each span of a text, shape [units].

    Args:
        text: The text.
        spans: [units, 2], in order.
        rate: Tokens per unit of density.
    """
    sums = np.concatenate([[0], np.cumsum(_density(text), dtype=np.float64)])
    estimated: Costs = np.diff(sums[spans], axis=1)[:, 0].astype(np.float32)
    estimated *= np.float32(rate)
    return estimated


def _density(text: str) -> Costs:
    out: Costs = DENSITY[np.frombuffer(text.encode("latin-1", "replace"), np.uint8)]
    return out
