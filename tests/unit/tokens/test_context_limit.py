"""The limit of a session's view: tokens, a fraction of the window, or dollars."""

from __future__ import annotations

from typing import Any

import pytest

from compressor.errors import BudgetError
from compressor.tokens.context_limit import resolve_context_limit
from compressor.tokens.pricing import Price, PriceTier

PRICE = Price.custom(2, 10, max_input_tokens=1_000_000, tiers=[PriceTier(200_000, 4, 15, 4, 4)])


@pytest.mark.parametrize(
    ("budget", "tokens"),
    [
        (None, 800_000),
        (5_000, 5_000),
        (0.25, 250_000),
        ("$0.02", 10_000),
        (" $ .4 ", 200_000),
        ("$0.70", 200_000),  # 200,001 tokens cost $0.80
        ("$1.20", 300_000),
        ("$1000", 1_000_000),
        ("$" + "9" * 400, 1_000_000),
    ],
)
def test_limits(budget: Any, tokens: int) -> None:
    assert resolve_context_limit(budget, PRICE) == tokens


@pytest.mark.parametrize(
    ("budget", "price", "says"),
    [
        ("20 cents", PRICE, "not an amount of dollars"),
        ("$0.000001", PRICE, "too small"),
        ("$1", Price.custom(0, 1, name="local"), "'local' costs nothing"),
        (-1, PRICE, "must be positive"),
        (1.5, PRICE, "whole number of tokens nor a fraction"),
        (True, PRICE, "number of tokens or a fraction"),
    ],
)
def test_bad_budgets_say_what_to_give(budget: Any, price: Price, says: str) -> None:
    with pytest.raises(BudgetError, match=says):
        resolve_context_limit(budget, price)
