"""Works out what a session's calls cost with and without compression, and when a compaction pays.

The provider reads a prefix that it has seen at the price `cached`, and everything after the first changed token at the
price `write`. A compaction from V to A tokens, of which the first K stay as they are, costs once

    loss = (write - cached) * (A - K)            and then saves, with every call,        saving = cached * (V - A)

When to buy if nobody knows how many calls will follow is the rent-or-buy problem (Karlin et al., "Competitive snoopy
caching", 1988): buy when the rent paid so far, the sum of the savings missed since the last compaction, reaches the
price. That never costs more than twice the best choice, and where a history grows steadily it is the best choice
(the economic order quantity). So that a session never costs more than it would without compression, the loss must also
be covered by what the session has saved until then, or the rent must have shown MAX_RENT_RATIO times over that the
session is a long one.
"""

from __future__ import annotations

from compressor.sessions.state import SessionCounters
from compressor.tokens.billing import cache_rewrite_cost, saved_per_call
from compressor.tokens.pricing import Price

HYSTERESIS = 1.8  # a compaction must be expected to leave at most 1/HYSTERESIS of the tokens: `benchmarks/LOG.md`
MAX_RENT_RATIO = 3.0


def prompt_cost(price: Price, tokens: int, unchanged_tokens: int) -> float:
    """Returns the dollars for a prompt whose first `unchanged_tokens` were also in the last one."""
    cached = unchanged_tokens if unchanged_tokens >= price.min_cacheable_tokens else 0
    return price.cost(cached=cached, cache_written=tokens - cached)


def should_compact(
    price: Price,
    counters: SessionCounters,
    tokens: int,
    tokens_after: int,
    fixed_tokens: int,
    cache_expired: bool = False,
    extra_cost: float = 0.0,
) -> bool:
    """Returns whether a compaction pays now.

    Args:
        price: The prices to decide with.
        counters: What the session has sent so far.
        tokens: Tokens of the view.
        tokens_after: Tokens that a compaction would leave, about.
        fixed_tokens: Tokens at the start that it would leave unchanged.
        cache_expired: The provider's cache has forgotten the session, so rewriting the prefix costs nothing extra.
        extra_cost: Dollars that the compaction itself costs, such as for a summary.
    """
    if tokens < HYSTERESIS * tokens_after:
        return False
    loss = extra_cost + cache_rewrite_cost(
        price, max(0, tokens_after - fixed_tokens), warm=not cache_expired, prompt_tokens=tokens_after
    )
    saving = saved_per_call(price, tokens, tokens_after)
    rent = counters.missed_savings + saving
    saved = counters.reference_baseline - counters.reference_actual
    return rent >= loss and (saved + saving >= loss or rent >= MAX_RENT_RATIO * loss)


def record_call(
    price: Price,
    counters: SessionCounters,
    baseline_tokens: int,
    tokens: int,
    tokens_after: int,
    cache_expired: bool = False,
    is_expansion: bool = False,
    reference: Price | None = None,
) -> float:
    """Adds a call to the counters, and returns the dollars that were saved since the last call.

    Args:
        price: The model's prices.
        counters: The counters to change.
        baseline_tokens: Tokens that the prompt would have without compression. Its cost is that of a prompt as large
            as the model's window at most: the provider refuses a larger one, and bills nothing for it.
        tokens: Tokens of the prompt as sent.
        tokens_after: Tokens that a compaction would leave, about.
        cache_expired: The provider's cache has forgotten the session.
        is_expansion: The call only returns expanded text. Without compression it would not have happened.
        reference: The prices that decide when to compact. None takes the model's.
    """
    reference = reference or price
    billable_tokens = min(baseline_tokens, max(price.max_input_tokens, tokens))
    unchanged = counters.actual_last
    if counters.unchanged_tokens >= 0:
        unchanged = min(counters.unchanged_tokens, counters.actual_last)
    unchanged = 0 if cache_expired else min(unchanged, tokens)
    counters.calls += 1
    counters.actual_tokens += tokens
    counters.cached_tokens += unchanged if unchanged >= price.min_cacheable_tokens else 0
    if not is_expansion:
        counters.baseline_tokens += baseline_tokens
        before = 0 if cache_expired else min(counters.baseline_last, billable_tokens)
        counters.baseline_cost += prompt_cost(price, billable_tokens, before)
        counters.reference_baseline += prompt_cost(reference, billable_tokens, before)
        counters.calls_over_window += price.is_known and tokens <= price.max_input_tokens < baseline_tokens
    counters.actual_cost += prompt_cost(price, tokens, unchanged)
    counters.reference_actual += prompt_cost(reference, tokens, unchanged)
    counters.missed_savings += max(0.0, saved_per_call(reference, tokens, tokens_after))
    counters.baseline_last, counters.actual_last, counters.unchanged_tokens = baseline_tokens, tokens, -1
    saved_before, counters.saved_total = counters.saved_total, counters.baseline_cost - counters.actual_cost
    return counters.saved_total - saved_before
