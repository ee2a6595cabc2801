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

from compressor.sessions.state import Tallies
from compressor.tokens.billing import rewrite_cost, saved_per_call
from compressor.tokens.pricing import Price

HYSTERESIS = 1.8  # a compaction must be expected to leave at most 1/HYSTERESIS of the tokens: `benchmarks/LOG.md`
BOLD = 3.0


def prompt_money(price: Price, tokens: int, kept: int) -> float:
    """Dollars for a prompt of which the first `kept` tokens were in the last one."""
    cached = kept if kept >= price.minimum else 0
    return price.money(cached=cached, written=tokens - cached)


def pays(
    price: Price, tallies: Tallies, tokens: int, after: int, fixed: int, cold: bool = False, extra: float = 0.0
) -> bool:
    """Whether to compact now: a view of `tokens` to about `after`, the first `fixed` of which stay as they are. `cold`:
    the provider's cache has forgotten the session, so that rewriting costs nothing extra. `extra`: dollars that the
    compaction itself costs."""
    if tokens < HYSTERESIS * after:
        return False
    loss = extra + rewrite_cost(price, max(0, after - fixed), warm=not cold)
    saving = saved_per_call(price, tokens, after)
    rent = tallies.rent + saving
    saved = tallies.raw_money - tallies.money
    return rent >= loss and (saved + saving >= loss or rent >= BOLD * loss)


def note_call(
    price: Price, tallies: Tallies, raw: int, tokens: int, after: int, cold: bool = False, ours: bool = False
) -> None:
    """Adds a call to the tallies: a prompt of `tokens` that would have had `raw`; a compaction would leave `after`.
    `ours`: it only hands over what had been cut, so untouched there would have been no such call."""
    kept = 0 if cold else (tallies.last if tallies.kept < 0 else min(tallies.kept, tallies.last))
    kept = min(kept, tokens)
    tallies.calls += 1
    tallies.sent_tokens += tokens
    tallies.cached_tokens += kept if kept >= price.minimum else 0
    if not ours:
        tallies.raw_tokens += raw
        tallies.raw_money += prompt_money(price, raw, 0 if cold else min(tallies.raw_last, raw))
    tallies.money += prompt_money(price, tokens, kept)
    tallies.rent += max(0.0, saved_per_call(price, tokens, after))
    tallies.raw_last, tallies.last, tallies.kept = raw, tokens, -1
