"""How many tokens a session's view may have, from what the caller says. Knows prices; knows no messages."""

from __future__ import annotations

import re

from compressor.context.budget import resolve_budget
from compressor.errors import BudgetError
from compressor.tokens.pricing import Price

DEFAULT_WINDOW_FRACTION = 0.8  # of the model's window: the rest is for the answer, and for counts that are estimates
_MONEY = re.compile(r"\$\s*(\d+(?:\.\d+)?|\.\d+)")


def resolve_context_limit(budget: int | float | str | None, price: Price) -> int:
    """The limit in tokens. budget: tokens; a float below 1, a share of the model's window; "$0.02", dollars a call
    whose prompt is read fresh; None, `SHARE` of the window. BudgetError for anything else, and for money that buys
    nothing.
    """
    if budget is None:
        return int(DEFAULT_WINDOW_FRACTION * price.max_input_tokens)
    if isinstance(budget, str) and budget.strip().endswith("%"):
        return resolve_budget(budget, price.max_input_tokens)
    if isinstance(budget, str):
        found = _MONEY.fullmatch(budget.strip())
        if found is None:
            raise BudgetError(f'budget {budget!r} is no money: write "$0.02", or give tokens or a share of the window')
        if price.input <= 0:
            raise BudgetError(f"budget {budget!r}: {price.name!r} has no price: give tokens or a share of the window")
        tokens = int(float(found[1]) * 1e6 / price.input)
        if tokens < 1:
            raise BudgetError(f"budget {budget!r} buys no token of {price.name!r} at ${price.input} a million")
        return min(tokens, price.max_input_tokens)
    return resolve_budget(budget, price.max_input_tokens)
