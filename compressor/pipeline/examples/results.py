"""The result of a selection of examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from compressor.context.results import BaseResult


@dataclass
class ExamplesResult(BaseResult):
    """The selected examples, in the order in which to send them.

    `dropped` has an entry for each example that was not selected and for each step that was removed: `block` is the
    index of the example, `ref` expands to the whole example (a string itself, JSON of other objects), and `span` points
    into that text. The originals are stored when `dropped` is first read, which may raise StoreError.

    Attributes:
        examples: The caller's own objects; shortened ones are copies of the same shape.
        text: All of them as they are written. Its tokens are counted, or those of the messages for examples that are
            messages.
        messages: The same as user and assistant messages; empty if an answer is unknown.
        indices: The positions of the examples among those given.
        ids: Their ids in an `ExampleStore`; empty otherwise.
        shortened: The indices of those whose reasoning was shortened.
        considered: The number of examples that were given.
    """

    examples: list[Any] = field(default_factory=list)
    text: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    shortened: list[int] = field(default_factory=list)
    considered: int = 0

    def report(self) -> str:
        """Returns a few lines of plain text: tokens before and after, how many examples were selected, warnings."""
        note = " (estimate)" if self.is_estimate else ""
        lines = [
            f"{self.tokens_before:,} -> {self.tokens_after:,} tokens{note}, {self.ratio:.2f}x, budget {self.budget:,}",
            f"  {len(self.examples):,} of {self.considered:,} examples, {len(self.shortened)} of them shortened",
        ]
        return "\n".join([*lines, *(f"  warning: {w}" for w in self.warnings)])
