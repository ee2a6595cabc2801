"""Compares examples by the vectors of a text encoder, on its GPU if it has one.

Scorers whose model embeds texts provide an encoder; with other scorers examples are compared by n-grams alone.
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
    """A relevance model that can embed any text.

    Attributes:
        name: The name of the model, for warnings.
        device: The device that it runs on.
    """

    name: str
    device: Device

    @property
    def fingerprint(self) -> str:
        """Identifies everything that a vector depends on, except its text."""
        ...

    def embed(self, texts: list[str], is_query: bool = False, keep: bool = True) -> Floats:
        """Embeds texts.

        Args:
            texts: The texts.
            is_query: Whether they are queries, which some models embed differently.
            keep: Whether to cache the vectors in the store.

        Returns:
            [n, d] vectors of length 1, or 0 for a text without words.
        """
        ...


def find_encoder(scorer: Scorer) -> TextEncoder | None:
    """Returns the encoder of a scorer, or None if its model cannot embed texts."""
    model = getattr(scorer, "model", None)  # a `ModelScorer` has one, the fast tier has none
    return model if isinstance(model, TextEncoder) else None


class EmbeddingMatrix:
    """The vectors of examples, on the device where they are multiplied.

    Args:
        rows: [n, d] vectors of length 1, or 0.
        device: Where `cosines` is computed.
    """

    def __init__(self, rows: Floats, device: Device) -> None:
        self.rows = rows
        self._torch: Any = import_module("torch") if device.gpu and len(rows) else None
        self._on_device: Any = self._torch.from_numpy(rows).to(device.name) if self._torch is not None else None

    def cosines(self, query: Floats) -> Floats:
        """Returns the [n] cosines with the vector of one query, [d]."""
        if self._torch is None:
            out: Floats = self.rows @ query
            return out
        with self._torch.inference_mode():
            found: Floats = (self._on_device @ self._torch.from_numpy(query).to(self._on_device.device)).cpu().numpy()
        return found

    def pairwise_cosines(self, rows: npt.NDArray[np.int64]) -> Floats:
        """Returns the [k, k] cosines of k rows with each other."""
        selected = self.rows[rows]
        out: Floats = selected @ selected.T
        return out
