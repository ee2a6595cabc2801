"""Estimates the tokens of a block's units, from the tokens of the whole block.

`count_tokens` and `estimate_tokens` have a native kernel.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compressor.native import load_kernel
from compressor.pipeline.block_edit import BlockEdit
from compressor.text.segmenters.base import Spans
from compressor.text.segmenters.span_layout import SpanLayout
from compressor.tokens.base import Offsets

Costs = npt.NDArray[np.float32]

#: Tokens per character by the class of the character: letters run together, digits come in threes, punctuation stands
#: alone. Only the proportions count, because costs are scaled to the exact count of the source.
DENSITY = np.full(256, 0.5, np.float32)
DENSITY[[*range(65, 91), *range(97, 123), 32]] = 0.22
DENSITY[48:58] = 0.4

_kernel = load_kernel("unit_costs")


def unit_costs(edit: BlockEdit) -> Costs:
    """Returns the tokens of each unit of a block.

    They are counted from the encoding of the whole text. Units that are not stretches of it (in JSON and tables) are
    estimated from its count.
    """
    block, layout = edit.block, edit.layout
    if block.kind == "image":
        return np.array([block.tokens], np.float32)
    if layout.text != block.text and not (edit.is_recut and isinstance(layout, SpanLayout)):
        rate = block.tokens / max(float(_density(block.text).sum()), 1e-6)
        if _kernel is None:
            return estimate_tokens(layout.text, layout.spans, rate)
        out = np.empty(len(layout.spans), np.float32)
        _kernel.estimate_tokens(layout.text, np.ascontiguousarray(layout.spans, np.int32), DENSITY, rate, out)
        return out
    if layout.kind == "whole" and edit.counter.scale == 1.0 and edit.counter.file is None:
        return np.array([block.tokens], np.float32)
    offsets, scale = edit.counter.offsets(layout.text), edit.counter.scale
    if _kernel is None:
        return count_tokens(offsets, layout.spans, scale)
    out = np.empty(len(layout.spans), np.float32)
    _kernel.count_tokens(offsets, np.ascontiguousarray(layout.spans, np.int32), scale, out)
    return out


def count_tokens(offsets: Offsets, spans: Spans, scale: float) -> Costs:
    """Returns the tokens that start in each span, shape [units].

    Args:
        offsets: Where each token starts, in order.
        spans: [units, 2]
        scale: Tokens of the model per token of the encoding.
    """
    token_numbers = np.searchsorted(offsets, spans)
    return ((token_numbers[:, 1] - token_numbers[:, 0]) * scale).astype(np.float32)


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
