"""What a sentence encoder needs of the library that runs its model: ONNX Runtime or sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from compressor.scoring.runtime.batch_scheduler import BatchLimits

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A piece of text that the model reads at once.

    Attributes:
        content: The piece, as its backend takes it: token ids or text.
        tokens: Its length in tokens, special tokens included.
        is_query: Whether it is part of a query, for models that treat queries differently.
    """

    content: Any
    tokens: int
    is_query: bool


class EncoderBackend(Protocol):
    """A loaded model that computes the vectors of windows.

    Attributes:
        name: The model's name, for messages.
        fingerprint: Names everything that a vector depends on, except its text: files, runtime, number type.
        dimensions: The length of a vector.
        separates_queries: Whether the vector of a query may differ from that of a document with the same text.
        limits: The size of the batches that suit the model and its device.
    """

    name: str
    fingerprint: str
    dimensions: int
    separates_queries: bool
    limits: BatchLimits

    def split(self, texts: Sequence[str], is_query: bool) -> list[list[Window]]:
        """Returns the windows of each text, of about equal length; none for a text without tokens."""
        ...

    def encode(self, windows: Sequence[Window]) -> Floats:
        """Returns [n, dimensions] float32, one vector for each window."""
        ...


def replace_surrogates(text: str) -> str:
    """Returns the text with lone surrogates replaced by question marks, as tokenizers refuse them."""
    return text.encode("utf-8", "replace").decode()
