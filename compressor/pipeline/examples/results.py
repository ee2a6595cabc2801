"""The result of a selection of examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from compressor.context.results import BaseResult
from compressor.errors import CompressorError
from compressor.tokens.billing import CallUsage
from compressor.tokens.pricing import Price, find_price


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
        cached_count: With a `cached_budget`, the number of examples at the beginning that are the same for all queries.
            The attributes below describe these.
        cached_text: The beginning of `text` that is the same for all queries.
        cached_messages: The beginning of `messages` that is the same for all queries.
        cached_tokens: The tokens of the block.
    """

    examples: list[Any] = field(default_factory=list)
    text: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    shortened: list[int] = field(default_factory=list)
    considered: int = 0
    cached_count: int = 0
    cached_text: str = ""
    cached_messages: list[dict[str, Any]] = field(default_factory=list)
    cached_tokens: int = 0

    def bill(self, calls: int, model: str | Price | None = None, writes: int = 1) -> CallUsage:
        """Returns what the examples of so many calls like this one cost.

        Args:
            calls: The number of calls.
            model: The model whose list price applies, or a price. None is a typical price.
            writes: How often the block is written into the provider's cache: once, and again after each pause that is
                longer than the provider keeps it.

        Returns:
            The tokens and their cost, without the rest of the prompt. A block that is too short to be cached is billed
            as uncached.

        Raises:
            CompressorError: A number is not valid.
        """
        if not 0 <= writes <= calls:
            raise CompressorError(f"writes must be between 0 and the number of calls, {calls}, not {writes}")
        price = model if isinstance(model, Price) else find_price(model)
        block = self.cached_tokens if self.cached_tokens >= price.min_cacheable_tokens else 0
        own = self.tokens_after - block
        written = CallUsage(1, own, block, 0).priced(price)
        read = CallUsage(1, own, 0, block).priced(price)
        cost = writes * written.cost_usd + (calls - writes) * read.cost_usd
        return CallUsage(calls, calls * own, writes * block, (calls - writes) * block, cost_usd=cost)

    def report(self) -> str:
        """Returns a few lines of plain text: tokens before and after, how many examples were selected, warnings."""
        note = " (estimate)" if self.is_estimate else ""
        lines = [
            f"{self.tokens_before:,} -> {self.tokens_after:,} tokens{note}, {self.ratio:.2f}x, budget {self.budget:,}",
            f"  {len(self.examples):,} of {self.considered:,} examples, {len(self.shortened)} of them shortened",
        ]
        return "\n".join([*lines, *(f"  warning: {w}" for w in self.warnings)])
