"""Reads a budget. Knows nothing of what it is spent on."""

from __future__ import annotations

import math

from compressor.errors import BudgetError


def resolve_budget(budget: int | float, tokens_before: int) -> int:
    """A budget in tokens: an int as it is, a float below 1 as a share of `before`, rounded down.

    Raises BudgetError for anything else: a bool, NaN, zero, a negative number, a float of 1 or more that is not a
    whole number.
    """
    if isinstance(budget, bool) or not isinstance(budget, (int, float)) or not math.isfinite(budget):
        raise BudgetError(f"budget must be a number of tokens or a share in (0, 1), not {budget!r}")
    if budget <= 0:
        raise BudgetError(f"budget must be positive, not {budget!r}")
    if is_fraction(budget):
        return max(1, int(budget * tokens_before))
    if int(budget) != budget:
        raise BudgetError(f"budget {budget!r} is neither a whole number of tokens nor a share in (0, 1)")
    return int(budget)


def is_fraction(budget: int | float) -> bool:
    """Whether a valid budget is a share of what there is, not a number of tokens."""
    return isinstance(budget, float) and budget < 1
