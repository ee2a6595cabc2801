"""Resolves a budget, given in tokens or as a fraction, to a number of tokens."""

from __future__ import annotations

import math
import re
from typing import TypeAlias

from compressor.errors import BudgetError

#: Tokens (4_000), or a fraction of what there is (0.25 or "25%").
Budget: TypeAlias = int | float | str

_PERCENTAGE = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*%\s*")


def resolve_budget(budget: Budget, tokens_before: int) -> int:
    """Returns a budget in tokens.

    Args:
        budget: An int is a number of tokens. A float below 1 and a percentage such as "25%" are a fraction of
            `tokens_before`, rounded down, but at least one token.
        tokens_before: The tokens of the input.

    Raises:
        BudgetError: The budget is anything else, such as a bool, NaN, zero, a negative number or 1.5.
    """
    if isinstance(budget, str):
        budget = _parse_percentage(budget)
    if isinstance(budget, bool) or not isinstance(budget, (int, float)) or not math.isfinite(budget):
        raise BudgetError(f"budget must be a number of tokens or a fraction in (0, 1), not {budget!r}")
    if budget <= 0:
        raise BudgetError(f"budget must be positive, not {budget!r}")
    if is_fraction(budget):
        return max(1, int(budget * tokens_before))
    if isinstance(budget, float) and budget == 1:
        raise BudgetError("budget 1.0 is ambiguous: write 1 for one token, or a fraction below 1")
    if int(budget) != budget:
        raise BudgetError(f"budget {budget!r} is neither a whole number of tokens nor a fraction in (0, 1)")
    return int(budget)


def is_fraction(budget: Budget) -> bool:
    """Returns whether a valid budget is a fraction of what there is, not a number of tokens."""
    return isinstance(budget, str) or (isinstance(budget, float) and budget < 1)


def _parse_percentage(text: str) -> float:
    found = _PERCENTAGE.fullmatch(text)
    if found is None or not 0 < float(found[1]) < 100:
        raise BudgetError(f'budget {text!r} must be a percentage between "0%" and "100%", or a number')
    return float(found[1]) / 100
