"""Money: what a session's calls cost, what they would have cost untouched, and when a compaction pays.

The provider reads a prefix it has seen at `price.cached` and everything after the first changed token at `price.write`.
A compaction from V to A tokens, of which the first K stay as they are, costs once

    loss = (write - cached) * (A - K)            and then saves, with every call,        saving = cached * (V - A)

When to buy if nobody knows how many calls will follow is the rent-or-buy problem (Karlin et al., "Competitive snoopy
caching", 1988): buy when the rent paid so far, the sum of the savings missed since the last compaction, reaches the
price. That never costs more than twice the best choice, and where a history grows steadily it is the best choice
(the economic order quantity). So that a session never costs more than it would have without us, the loss must also be
covered by what the session has saved until then, or the rent has shown BOLD times over that the session is a long one.

Knows prices and tokens; knows no messages.
"""

from __future__ import annotations

from compressor.sessions.state import SessionCounters
from compressor.tokens.billing import cache_rewrite_cost, saved_per_call
from compressor.tokens.pricing import Price

HYSTERESIS = 1.8  # a compaction must be expected to leave at most 1/HYSTERESIS of the tokens: `benchmarks/LOG.md`
MAX_RENT_RATIO = 3.0


def prompt_cost(price: Price, tokens: int, unchanged_tokens: int) -> float:
    """Dollars for a prompt of which the first `kept` tokens were in the last one."""
    cached = unchanged_tokens if unchanged_tokens >= price.min_cacheable_tokens else 0
    return price.cost(cached=cached, cache_written=tokens - cached)


def should_compact(
    price: Price, counters: SessionCounters, tokens: int, tokens_after: int, fixed_tokens: int, cache_expired: bool = False, extra_cost: float = 0.0
) -> bool:
    """Whether to compact now: a view of `tokens` to about `after`, the first `fixed` of which stay as they are. `cold`:
    the provider's cache has forgotten the session, so that rewriting costs nothing extra. `extra`: dollars that the
    compaction itself costs."""
    if tokens < HYSTERESIS * tokens_after:
        return False
    loss = extra_cost + cache_rewrite_cost(price, max(0, tokens_after - fixed_tokens), warm=not cache_expired)
    saving = saved_per_call(price, tokens, tokens_after)
    rent = counters.missed_savings + saving
    saved = counters.baseline_cost - counters.actual_cost
    return rent >= loss and (saved + saving >= loss or rent >= MAX_RENT_RATIO * loss)


def record_call(
    price: Price, counters: SessionCounters, baseline_tokens: int, tokens: int, tokens_after: int, cache_expired: bool = False, is_expansion: bool = False
) -> None:
    """Adds a call to the counters: a prompt of `tokens` that would have had `raw`; a compaction would leave `after`.
    `ours`: it only hands over what had been cut, so untouched there would have been no such call."""
    kept = 0 if cache_expired else (counters.actual_last if counters.unchanged_tokens < 0 else min(counters.unchanged_tokens, counters.actual_last))
    kept = min(kept, tokens)
    counters.calls += 1
    counters.actual_tokens += tokens
    counters.cached_tokens += kept if kept >= price.min_cacheable_tokens else 0
    if not is_expansion:
        counters.baseline_tokens += baseline_tokens
        counters.baseline_cost += prompt_cost(price, baseline_tokens, 0 if cache_expired else min(counters.baseline_last, baseline_tokens))
    counters.actual_cost += prompt_cost(price, tokens, kept)
    counters.missed_savings += max(0.0, saved_per_call(price, tokens, tokens_after))
    counters.baseline_last, counters.actual_last, counters.unchanged_tokens = baseline_tokens, tokens, -1
