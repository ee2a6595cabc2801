"""Units of texts as a scorer gets them."""

from __future__ import annotations

import numpy as np

from compressor.context.model import Kind
from compressor.scoring import SourceBlock, UnitBatch
from compressor.text.segmenters import segment_text


def unit_batch(*texts: str, kind: Kind = "tool_result", available_tokens: float = 0.0) -> UnitBatch:
    """The units of texts, each a source; a unit costs a token for four characters."""
    layouts = [segment_text(text) for text in texts]
    return UnitBatch(
        [SourceBlock(kind, x, (np.diff(x.spans, axis=1)[:, 0] / 4).astype(np.float32)) for x in layouts],
        available_tokens=available_tokens,
    )
