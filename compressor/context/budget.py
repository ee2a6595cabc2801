"""Reads the budget that a caller gives for a compression."""

from __future__ import annotations

import math

from compressor.errors import BudgetError


def resolve_budget(budget: int | float, tokens_before: int) -> int:
    """Returns a budget in tokens.

    Args:
        budget: A number of tokens, or a float below 1 for a fraction of `tokens_before`, rounded down.
        tokens_before: Tokens of what the fraction refers to.

    Raises:
        BudgetError: The budget is a bool, NaN, zero, negative, or a float of 1 or more with decimals.
    """
    if isinstance(budget, bool) or not isinstance(budget, (int, float)) or not math.isfinite(budget):
        raise BudgetError(f"budget must be a number of tokens or a fraction in (0, 1), not {budget!r}")
    if budget <= 0:
        raise BudgetError(f"budget must be positive, not {budget!r}")
    if is_fraction(budget):
        return max(1, int(budget * tokens_before))
    if int(budget) != budget:
        raise BudgetError(f"budget must be a whole number of tokens or a fraction in (0, 1), not {budget!r}")
    return int(budget)


def is_fraction(budget: int | float) -> bool:
    """Returns whether a valid budget is a fraction of what there is, not a number of tokens."""
    return isinstance(budget, float) and budget < 1
