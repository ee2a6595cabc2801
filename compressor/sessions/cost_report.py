"""Reports what a session cost, and what it would have cost without compression."""

from __future__ import annotations

from dataclasses import dataclass

from compressor.sessions.state import SessionCounters
from compressor.tokens.model_families import DEFAULT_MODEL
from compressor.tokens.pricing import Price, find_price


@dataclass(frozen=True, slots=True)
class CostReport:
    """Tokens of all prompts of a session so far, and their cost in US dollars.

    Costs are list prices, with the provider's prompt cache. Answers cost the same either way and are left out. Tokens
    are counted in full, but without compression a prompt costs at most as much as one that fills the model's window:
    the provider refuses a larger one, and bills nothing for it.

    Attributes:
        calls: Number of calls.
        baseline_tokens: Prompt tokens without compression. Calls that only return expanded text do not count.
        actual_tokens: Prompt tokens as sent.
        cached_tokens: Those of `actual_tokens` read from the prompt cache, by our reckoning.
        baseline_cost: Dollars without compression.
        actual_cost: Dollars as sent.
        compactions: Number of compactions.
        expansions: Number of expansions.
        billed_tokens: Prompt tokens that the provider reported (`record_usage`), or 0.
        billed_cached: Cached prompt tokens that the provider reported, or 0.
        view_tokens: Tokens of the view now.
        model: The model whose prices count.
        price_is_known: Whether the model is in the price table.
        baseline_last: Tokens of the last prompt without compression.
        actual_last: Tokens of the last prompt as sent.
        calls_over_window: Calls that compression made possible: the prompt would have been larger than the window.
        max_input_tokens: The model's window; a guess where `price_is_known` is False.
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
    calls_over_window: int = 0
    max_input_tokens: int = 0

    @classmethod
    def from_counters(cls, counters: SessionCounters, price: Price, view_tokens: int) -> CostReport:
        """Makes the report from a session's counters."""
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
            counters.calls_over_window,
            price.max_input_tokens,
        )

    @classmethod
    def before_first_call(cls, model: str | None = None) -> CostReport:
        """Makes the report of a session of this model (None: gpt-4o) that has not called it yet: all counts are 0."""
        return cls.from_counters(SessionCounters(), find_price(model or DEFAULT_MODEL), 0)

    @property
    def saved_cost(self) -> float:
        """Returns the dollars saved. It is negative where compression cost more than it saved."""
        return self.baseline_cost - self.actual_cost

    @property
    def is_over_window(self) -> bool:
        """Returns whether the last call was possible only because of compression."""
        return self.price_is_known and self.actual_last <= self.max_input_tokens < self.baseline_last

    @property
    def saved_fraction(self) -> float:
        """Returns the fraction of the cost that was saved, or 0 where there was no cost."""
        return self.saved_cost / self.baseline_cost if self.baseline_cost else 0.0

    @property
    def cached_fraction(self) -> float:
        """Returns the fraction of the sent tokens that came from the prompt cache, as billed where that is known."""
        if self.billed_tokens:
            return self.billed_cached / self.billed_tokens
        return self.cached_tokens / self.actual_tokens if self.actual_tokens else 0.0

    def report(self) -> str:
        """Returns the report as a few lines of plain text."""
        guess = "" if self.price_is_known else " (the prices are a guess: the model is not in the price table)"
        window = ""
        if self.calls_over_window:
            window = (
                f"\n{self.calls_over_window} calls would not have fitted the window of {self.max_input_tokens:,} "
                "tokens uncompressed, and count as prompts that fill it"
            )
        return (
            f"{self.calls} calls, {self.baseline_tokens:,} -> {self.actual_tokens:,} prompt tokens, "
            f"view {self.view_tokens:,}\n"
            f"${self.baseline_cost:.4f} -> ${self.actual_cost:.4f} for prompts of {self.model}{guess}, "
            f"{self.saved_fraction:+.0%} saved, {self.cached_fraction:.0%} of the tokens from the provider's cache\n"
            f"{self.compactions} compactions, {self.expansions} expansions{window}"
        )
