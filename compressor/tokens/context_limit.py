"""Resolves how many tokens a session's view may have from the budget that the caller gives."""

from __future__ import annotations

import re

from compressor.context.budget import resolve_budget
from compressor.errors import BudgetError
from compressor.tokens.price import Price

#: Fraction of the model's window; the rest is for the answer, and for token counts that are estimates.
DEFAULT_WINDOW_FRACTION = 0.8
_DOLLARS = re.compile(r"\$\s*(\d+(?:\.\d+)?|\.\d+)")


def resolve_context_limit(budget: int | float | str | None, price: Price) -> int:
    """Returns the limit in tokens.

    Args:
        budget: A number of tokens; a float below 1 for a fraction of the model's window; `"$0.02"` for the dollars that
            one call with an uncached prompt may cost; or None for `DEFAULT_WINDOW_FRACTION` of the window.
        price: The model's price and window.

    Raises:
        BudgetError: The budget has another form, or its dollars buy no token.
    """
    if budget is None:
        return int(DEFAULT_WINDOW_FRACTION * price.max_input_tokens)
    if isinstance(budget, str) and budget.strip().endswith("%"):
        return resolve_budget(budget, price.max_input_tokens)
    if isinstance(budget, str):
        found = _DOLLARS.fullmatch(budget.strip())
        if found is None:
            raise BudgetError(
                f'budget {budget!r} is not an amount of dollars: write "$0.02", or give tokens or a fraction of the '
                "window"
            )
        if price.input <= 0:
            raise BudgetError(
                f"budget {budget!r} cannot be converted into tokens, because {price.name!r} costs nothing: give tokens "
                "or a fraction of the window"
            )
        tokens = price.affordable_prompt_tokens(float(found[1]))
        if tokens < 1:
            raise BudgetError(
                f"budget {budget!r} is too small: one token of {price.name!r} costs more, at ${price.input} per million"
            )
        return tokens
    return resolve_budget(budget, price.max_input_tokens)
