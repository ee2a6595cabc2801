"""Reads the budgets that tools and examples have of their own: from settings, headers and request bodies.

Without such options the service sends all tools and all examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from compressor.context.budget import resolve_budget
from compressor.errors import BudgetError
from compressor.providers.prompt_budgets import PromptBudgets

#: The options of a conversation or session, as JSON data.
BUDGET_FIELDS = ("tools_budget", "examples_budget")
#: All options of a conversation or session that this module reads.
FIELDS = (*BUDGET_FIELDS, "pinned_tools")


def read_budget_headers(get_option: Callable[[str], str]) -> dict[str, Any]:
    """Returns the options in the headers `x-compressor-tools-budget`, `-examples-budget` and `-pinned-tools`.

    Names of pinned tools are separated by commas.

    Args:
        get_option: Returns the value of a header by the end of its name, or "".

    Raises:
        BudgetError: A budget cannot be read.
    """
    names = [name.strip() for name in get_option("pinned-tools").split(",") if name.strip()]
    pinned: dict[str, Any] = {"pinned_tools": names} if names else {}
    given = {name: get_option(name.replace("_", "-")) for name in BUDGET_FIELDS}
    return pinned | {
        name: parse_prompt_budget(text, f"x-compressor-{name.replace('_', '-')}")
        for name, text in given.items()
        if text
    }


def parse_prompt_budget(value: int | float | str, name: str) -> int | float:
    """Returns a budget as a number: tokens ("4000") or a fraction of what there is ("0.25", "25%").

    Args:
        value: The budget.
        name: What an error calls it.

    Raises:
        BudgetError: It is neither.
    """
    try:
        budget: Any = value
        if isinstance(value, str):
            text = value.strip()
            number = float(text.removesuffix("%"))
            budget = number / 100 if text.endswith("%") else int(text) if text.isdigit() else number
        resolve_budget(budget, 1_000)
    except ValueError:  # BudgetError is one
        raise BudgetError(f"{name} must be tokens (4000) or a fraction (0.25 or 25%), not {value!r:.80}") from None
    made: int | float = budget
    return made


def make_budgets(defaults: PromptBudgets, options: Mapping[str, Any]) -> PromptBudgets:
    """Returns the budgets of a conversation.

    Args:
        defaults: The budgets of the service.
        options: The conversation's own options; others than budgets are ignored.

    Raises:
        BudgetError: A budget is neither tokens nor a fraction.
    """
    own = {name: parse_prompt_budget(options[name], name) for name in BUDGET_FIELDS if options.get(name) is not None}
    return PromptBudgets(
        own.get("tools_budget", defaults.tools),
        own.get("examples_budget", defaults.examples),
        tuple(options.get("pinned_tools") or defaults.pinned_tools),
    )
