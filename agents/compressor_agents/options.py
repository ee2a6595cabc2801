"""Checks the options that all integrations share, so that mistakes show at construction and not at the first call."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from compressor.context.budget import resolve_budget
from compressor.errors import BudgetError, CompressorError
from compressor.providers.conversation_tracker import ConversationTracker
from compressor.providers.prompt_budgets import PromptBudgets
from compressor.sessions.policy import Policy
from compressor.tokens.context_limit import resolve_context_limit
from compressor.tokens.pricing import find_price

if TYPE_CHECKING:
    from compressor import Compressor


def check_policy(policy: Any) -> None:
    """Raises CompressorError for anything but a `Policy` and None."""
    if policy is not None and not isinstance(policy, Policy):
        raise CompressorError(
            f"policy must be a Policy, such as Policy(ingest=False), not {policy!r:.80}; "
            "import it with `from compressor import Policy`"
        )


def check_budget(budget: Any, model: str | None = None) -> None:
    """Raises BudgetError for a budget that no model can have.

    Args:
        budget: Tokens, a fraction of the model's window below 1, dollars such as "$0.02", or None.
        model: The model whose price turns dollars into tokens.
    """
    _reject_one(budget, "budget")
    resolve_context_limit(budget, find_price(model))


def check_token_budget(name: str, budget: Any) -> None:
    """Raises BudgetError for anything but tokens, a fraction below 1 and None."""
    if budget is not None:
        _reject_one(budget, name)
        resolve_budget(budget, 1_000)


def _reject_one(budget: Any, name: str) -> None:
    if isinstance(budget, float) and budget == 1:
        raise BudgetError(
            f"{name}=1.0 would be one token; give whole tokens, such as {name}=12_000, "
            f"or a fraction below 1, such as {name}=0.8"
        )


def make_prompt_budgets(
    tools: int | float | str | None, pinned_tools: Collection[str] = (), examples: int | float | str | None = None
) -> PromptBudgets:
    """Returns the budgets of tools and examples for checked options.

    Raises:
        BudgetError: If a budget cannot be read.
    """
    check_token_budget("tools_budget", tools)
    check_token_budget("examples_budget", examples)
    names = (pinned_tools,) if isinstance(pinned_tools, str) else tuple(pinned_tools)
    return PromptBudgets(tools, examples, names)


def make_tracker(
    compressor: Compressor | None, budget: int | float | str | None, policy: Policy | None, session: Any
) -> ConversationTracker:
    """Returns a tracker for checked options.

    Raises:
        BudgetError: If the budget cannot be read.
        CompressorError: If `policy` is not a `Policy`.
    """
    check_policy(policy)
    check_budget(budget)
    return ConversationTracker(compressor, budget, policy, session)
