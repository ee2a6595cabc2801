"""What a session cost, and what it would have cost untouched. Knows counters and prices; bills nothing."""

from __future__ import annotations

from dataclasses import dataclass

from compressor.sessions.state import SessionCounters
from compressor.tokens.pricing import Price


@dataclass(frozen=True, slots=True)
class CostReport:
    """Tokens of all prompts of a session so far, and their money in dollars, at list prices and with the provider's
    prompt cache. Answers cost the same either way and are left out.

    raw_*: what it would have been untouched, without the calls that only hand over what was expanded. raw_last, last:
    tokens of the last prompt alone. cached_tokens: read from the cache, by our reckoning. billed_*: what the provider
    said (`usage`), 0 where nobody told us. view: tokens of the view now. known: the model has a price in the table.
    """

    calls: int
    baseline_tokens: int
    actual_tokens: int
    cached_tokens: int
    baseline_cost: float
    actual_cost: float
    compactions: int
    expansions: int
    billed_tokens: int
    billed_cached: int
    view_tokens: int
    model: str
    price_is_known: bool
    baseline_last: int = 0
    actual_last: int = 0

    @classmethod
    def from_counters(cls, counters: SessionCounters, price: Price, view_tokens: int) -> CostReport:
        """From a session's counters."""
        return cls(
            counters.calls,
            counters.baseline_tokens,
            counters.actual_tokens,
            counters.cached_tokens,
            counters.baseline_cost,
            counters.actual_cost,
            counters.compactions,
            counters.expansions,
            counters.billed_tokens,
            counters.billed_cached,
            view_tokens,
            price.name,
            price.is_known,
            counters.baseline_last,
            counters.actual_last,
        )

    @property
    def saved_cost(self) -> float:
        """Dollars saved; negative where compressing cost more than it saved."""
        return self.baseline_cost - self.actual_cost

    @property
    def saved_fraction(self) -> float:
        """Share of the money saved, 0 where there was none to save."""
        return self.saved_cost / self.baseline_cost if self.baseline_cost else 0.0

    @property
    def cached_fraction(self) -> float:
        """Share of the tokens sent that came from the provider's cache: as billed where that is known."""
        if self.billed_tokens:
            return self.billed_cached / self.billed_tokens
        return self.cached_tokens / self.actual_tokens if self.actual_tokens else 0.0

    def report(self) -> str:
        """A few lines of plain text."""
        guess = "" if self.price_is_known else " (prices are a guess: the model is not in the table)"
        return (
            f"{self.calls} calls, {self.baseline_tokens:,} -> {self.actual_tokens:,} prompt tokens, view {self.view_tokens:,}\n"
            f"${self.baseline_cost:.4f} -> ${self.actual_cost:.4f} for prompts of {self.model}{guess}, "
            f"{self.saved_fraction:+.0%} saved, {self.cached_fraction:.0%} of the tokens from the provider's cache\n"
            f"{self.compactions} compactions, {self.expansions} expansions"
        )
