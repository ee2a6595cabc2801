"""What a choice of examples gives back. Computes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from compressor.context.results import BaseResult


@dataclass
class ExamplesResult(BaseResult):
    """The chosen examples, in the order in which to send them.

    examples: the caller's own objects; shortened ones are copies of the same shape. indices: where each stands among
    those given; ids: of a bank, each one's id. text: all of them as they are written, which is what is counted (of
    messages, the messages). messages: the same as messages of a user and an assistant, where that is possible.
    shortened: indices of those whose reasoning was shortened. `dropped` is what is not there, one entry for each
    example or step: `block` is the example's index, `ref` gives all of the example back (a string as it was, anything
    else as JSON, into which `span` points). The originals are stored when `dropped` is first read: StoreError then.
    """

    examples: list[Any] = field(default_factory=list)
    text: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    shortened: list[int] = field(default_factory=list)
    considered: int = 0

    def report(self) -> str:
        """A few lines of plain text: the balance, how many of how many, warnings."""
        about = " (estimate)" if self.is_estimate else ""
        lines = [
            f"{self.tokens_before:,} -> {self.tokens_after:,} tokens{about}, {self.ratio:.2f}x, budget {self.budget:,}",
            f"  {len(self.examples):,} of {self.considered:,} examples, {len(self.shortened)} of them shortened",
        ]
        return "\n".join([*lines, *(f"  warning: {w}" for w in self.warnings)])
