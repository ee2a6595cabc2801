"""Spends a budget on functions: decides which to send, and each in which variant.

Each function has variants of rising cost, and one budget covers all of them: a multiple-choice knapsack. Its fractional
optimum follows the convex hull of cost and value of each function, steepest step first. Steps that no longer fit are
skipped for others that do (H. Kellerer, U. Pferschy, D. Pisinger, Knapsack Problems, 2004, ch. 11).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

#: The value of a function in its shortest variant and complete. Being there at all counts most.
BAREST_VALUE, FULL_VALUE = 0.75, 1.0


@dataclass(frozen=True, slots=True)
class VariantCosts:
    """The variants of one function.

    Attributes:
        costs: The tokens of each variant, the shortest first, the complete one last.
        probability: How likely the function is needed.
        is_required: Whether it must be sent.
    """

    costs: Sequence[int]
    probability: float
    is_required: bool = False


def allocate(options: Sequence[VariantCosts], budget: int) -> list[int] | None:
    """Allocates a budget.

    Args:
        options: The functions.
        budget: The budget in tokens.

    Returns:
        For each function the index of its variant, -1 if it is not sent. None if the required functions do not fit even
        in their shortest variants.
    """
    taken = [0 if option.is_required else -1 for option in options]
    remaining = budget - sum(option.costs[0] for option in options if option.is_required)
    if remaining < 0:
        return None
    steps: list[tuple[float, int, int]] = []

    def offer(number: int) -> None:
        step = _best_step(options[number], taken[number], remaining)
        if step is not None:
            heapq.heappush(steps, (-step[0], number, step[1]))

    for number in range(len(options)):
        offer(number)
    while steps:
        _, number, variant = heapq.heappop(steps)
        costs = options[number].costs
        price = costs[variant] - (costs[taken[number]] if taken[number] >= 0 else 0)
        if price <= remaining:
            taken[number] = variant
            remaining -= price
        offer(number)  # the next step of this function, if one still fits
    return taken


def _value(option: VariantCosts, variant: int) -> float:
    if variant < 0:
        return 0.0
    last = len(option.costs) - 1
    return option.probability * (BAREST_VALUE + (FULL_VALUE - BAREST_VALUE) * (variant / last if last else 1.0))


def _best_step(option: VariantCosts, taken: int, budget: int) -> tuple[float, int] | None:
    """The steepest step from a variant that fits: its value per token, and the variant it leads to."""
    best: tuple[float, int] | None = None
    now = option.costs[taken] if taken >= 0 else 0
    for variant in range(taken + 1, len(option.costs)):
        if option.costs[variant] - now > budget:
            break
        rate = (_value(option, variant) - _value(option, taken)) / max(option.costs[variant] - now, 0.25)
        if best is None or rate > best[0]:
            best = rate, variant
    return best
