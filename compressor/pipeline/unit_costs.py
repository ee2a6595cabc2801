"""Tells what each unit of a block costs in tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from compressor.caches import TwoGenerationCache
from compressor.native import load_kernel
from compressor.pipeline.block_edit import BlockEdit
from compressor.text.segmenters.base import Spans
from compressor.text.segmenters.span_layout import SpanLayout

Costs = npt.NDArray[np.float32]

#: Tokens per character by the class of the character: letters run together, digits come in threes, punctuation stands
#: alone. Only the proportions count, because costs are scaled to the exact count of the source.
_DENSITY = np.full(256, 0.5, np.float32)
_DENSITY[[*range(65, 91), *range(97, 123), 32]] = 0.22
_DENSITY[48:58] = 0.4

#: Bytes of the texts whose estimates are remembered.
MAX_CACHE_BYTES = 4 << 20
_kernel = load_kernel("token_spans")

#: Estimates by the block's text, with the array of spans and the tokens of the block that they hold for.
_estimates: TwoGenerationCache[tuple[Spans, int, Costs]] = TwoGenerationCache(MAX_CACHE_BYTES)


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
    found = _estimates.get(block.text)
    if found is not None and found[0] is layout.spans and found[1] == block.tokens:
        return found[2]
    tokens = np.float32(block.tokens / max(float(_density(block.text).sum()), 1e-6))
    if _kernel is None:
        estimated = estimate_spans(layout.text, layout.spans, tokens)
    else:
        estimated = _kernel.estimate_spans(layout.text, layout.spans, _DENSITY, tokens)
    estimated.flags.writeable = False
    _estimates.replace(block.text, (layout.spans, block.tokens, estimated))
    return estimated


def estimate_spans(text: str, spans: Spans, tokens: np.float32) -> Costs:
    """Returns the estimated tokens of each span of a text.

    Args:
        text: The text.
        spans: [n, 2] where each begins and ends.
        tokens: The tokens of a character of density 1.
    """
    sums = np.concatenate([[0], np.cumsum(_density(text), dtype=np.float64)])
    estimated: Costs = np.diff(sums[spans], axis=1)[:, 0].astype(np.float32)
    estimated *= tokens
    return estimated


def _density(text: str) -> Costs:
    out: Costs = _DENSITY[np.frombuffer(text.encode("latin-1", "replace"), np.uint8)]
    return out
