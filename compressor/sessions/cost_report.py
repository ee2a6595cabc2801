"""What a session cost, and what it would have cost untouched. Knows tallies and prices; bills nothing."""

from __future__ import annotations

from dataclasses import dataclass

from compressor.sessions.state import Tallies
from compressor.tokens.pricing import Price


@dataclass(frozen=True, slots=True)
class Balance:
    """Tokens of all prompts of a session so far, and their money in dollars, at list prices and with the provider's
    prompt cache. Answers cost the same either way and are left out.

    raw_*: what it would have been untouched, without the calls that only hand over what was expanded. raw_last, last:
    tokens of the last prompt alone. cached_tokens: read from the cache, by our reckoning. billed_*: what the provider
    said (`usage`), 0 where nobody told us. view: tokens of the view now. known: the model has a price in the table.
    """

    calls: int
    raw_tokens: int
    sent_tokens: int
    cached_tokens: int
    raw_money: float
    sent_money: float
    compactions: int
    expansions: int
    billed_tokens: int
    billed_cached: int
    view: int
    model: str
    known: bool
    raw_last: int = 0
    last: int = 0

    @classmethod
    def of(cls, tallies: Tallies, price: Price, view: int) -> Balance:
        """From a session's tallies."""
        return cls(
            tallies.calls,
            tallies.raw_tokens,
            tallies.sent_tokens,
            tallies.cached_tokens,
            tallies.raw_money,
            tallies.money,
            tallies.compactions,
            tallies.expansions,
            tallies.billed_tokens,
            tallies.billed_cached,
            view,
            price.name,
            price.known,
            tallies.raw_last,
            tallies.last,
        )

    @property
    def saved_money(self) -> float:
        """Dollars saved; negative where compressing cost more than it saved."""
        return self.raw_money - self.sent_money

    @property
    def saved_share(self) -> float:
        """Share of the money saved, 0 where there was none to save."""
        return self.saved_money / self.raw_money if self.raw_money else 0.0

    @property
    def cache_share(self) -> float:
        """Share of the tokens sent that came from the provider's cache: as billed where that is known."""
        if self.billed_tokens:
            return self.billed_cached / self.billed_tokens
        return self.cached_tokens / self.sent_tokens if self.sent_tokens else 0.0

    def report(self) -> str:
        """A few lines of plain text."""
        guess = "" if self.known else " (prices are a guess: the model is not in the table)"
        return (
            f"{self.calls} calls, {self.raw_tokens:,} -> {self.sent_tokens:,} prompt tokens, view {self.view:,}\n"
            f"${self.raw_money:.4f} -> ${self.sent_money:.4f} for prompts of {self.model}{guess}, "
            f"{self.saved_share:+.0%} saved, {self.cache_share:.0%} of the tokens from the provider's cache\n"
            f"{self.compactions} compactions, {self.expansions} expansions"
        )
