"""Examples by an encoder's vectors: a cosine is one matrix product, on the encoder's GPU where it has one.

Any tier whose reader embeds texts brings them; the others choose by n-grams alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from compressor.scoring.base import Scorer
from compressor.scoring.runtime.device import Device

Floats = npt.NDArray[np.float32]


@runtime_checkable
class TextEncoder(Protocol):
    """A reader that can embed any text. `fingerprint` names everything that a vector depends on but its text."""

    name: str
    device: Device

    @property
    def fingerprint(self) -> str: ...

    def embed(self, texts: list[str], is_query: bool = False, keep: bool = True) -> Floats:
        """[n, d] of length 1, 0 for a text without a word. asked: these are queries; keep: remember them in the
        store."""
        ...


def find_encoder(scorer: Scorer) -> TextEncoder | None:
    """What embeds texts for a scorer, if anything does."""
    reader = getattr(scorer, "reader", None)
    return reader if isinstance(reader, TextEncoder) else None


class EmbeddingMatrix:
    """[n, d] vectors of length 1, or 0, and where they are multiplied."""

    def __init__(self, rows: Floats, device: Device) -> None:
        self.rows = rows
        self._torch: Any = import_module("torch") if device.gpu and len(rows) else None
        self._there: Any = self._torch.from_numpy(rows).to(device.name) if self._torch is not None else None

    def cosines(self, query: Floats) -> Floats:
        """[n] with one query [d]."""
        if self._torch is None:
            out: Floats = self.rows @ query
            return out
        with self._torch.inference_mode():
            found: Floats = (self._there @ self._torch.from_numpy(query).to(self._there.device)).cpu().numpy()
        return found

    def pairwise_cosines(self, rows: npt.NDArray[np.int64]) -> Floats:
        """[k, k] cosines of some with each other."""
        some = self.rows[rows]
        out: Floats = some @ some.T
        return out
