"""The interface of a lossless codec: it writes one text shorter in a way that can be undone exactly.

Encoded text must explain itself to a language model: a short note in square brackets, on a line of its own, says what
was taken out. A codec leaves a text alone that already holds lines like its notes.
"""

from __future__ import annotations

from typing import Protocol


class LosslessCodec(Protocol):
    """Rewrites one text reversibly.

    Attributes:
        name: A short, unique and stable name.
    """

    name: str

    def encode(self, text: str) -> str | None:
        """Returns the encoded text, verified to decode to `text` exactly, or None if nothing is gained or it fails."""
        ...

    def most_saved(self, text: str) -> int:
        """Returns a number that `encode` cannot save more characters than, at a fraction of its cost. 0 means None."""
        ...

    def decode(self, encoded: str) -> str:
        """Returns the exact original of a text that `encode` returned."""
        ...


def verified(codec: LosslessCodec, text: str, encoded: str) -> str | None:
    """Returns `encoded` if it has fewer characters than `text` and decodes to it, else None."""
    return encoded if len(encoded) < len(text) and codec.decode(encoded) == text else None
