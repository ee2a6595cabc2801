"""How budgets of tools and examples are read from headers, settings and bodies."""

from __future__ import annotations

from typing import Any

import pytest

from compressor import BudgetError, CompressorError
from compressor.providers.prompt_budgets import PromptBudgets
from compressor.service.budget_options import make_budgets, parse_prompt_budget, read_budget_headers
from compressor.service.settings import Settings


@pytest.mark.parametrize(("given", "read"), [("4000", 4_000), (" 25% ", 0.25), ("0.5", 0.5), (900, 900), (0.2, 0.2)])
def test_a_budget_is_tokens_or_a_fraction(given: Any, read: float) -> None:
    assert parse_prompt_budget(given, "tools_budget") == read
    assert Settings(tools_budget=given, examples_budget=given).prompt_budgets() == PromptBudgets(read, read, ())


@pytest.mark.parametrize("given", ["", "many", "-5", "0", "150%", "1.5", "nan", 0, -1, 1.0, float("inf"), "$1"])
def test_anything_else_is_refused(given: Any) -> None:
    with pytest.raises(BudgetError, match="x must be tokens"):
        parse_prompt_budget(given, "x")
    with pytest.raises(CompressorError, match="tools_budget"):
        Settings(tools_budget=given)


def test_headers_come_before_settings() -> None:
    headers = {"tools-budget": "900", "pinned-tools": "a, b,"}
    options = read_budget_headers(lambda name: headers.get(name, ""))
    assert options == {"tools_budget": 900, "pinned_tools": ["a", "b"]}
    assert make_budgets(PromptBudgets(5, 6, ("z",)), options) == PromptBudgets(900, 6, ("a", "b"))
    assert make_budgets(PromptBudgets(5, 6, ("z",)), {}) == PromptBudgets(5, 6, ("z",))
    with pytest.raises(BudgetError, match="x-compressor-examples-budget must be"):
        read_budget_headers(lambda name: "many" if name == "examples-budget" else "")
