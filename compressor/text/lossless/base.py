"""What a fold is: a text written shorter in a way that can be undone exactly. Knows no message, query, score or budget.

Folded text must explain itself to a language model: what was taken out is named by a short note in square brackets on
a line of its own. A text that already holds lines like a fold's notes is not folded by it.
"""

from __future__ import annotations

from typing import Protocol


class LosslessCodec(Protocol):
    """A reversible rewriting of one text. `name` is short, unique and stable."""

    name: str

    def encode(self, text: str) -> str | None:
        """The folded text, proven by `decode` to give back `text` exactly, or None: nothing to gain, or no proof."""
        ...

    def decode(self, folded: str) -> str:
        """The exact original of a text that `encode` returned."""
        ...


def verified(fold: LosslessCodec, text: str, folded: str) -> str | None:
    """`folded` if it is shorter than `text` (in characters) and decodes to it, else None."""
    return folded if len(folded) < len(text) and fold.decode(folded) == text else None
