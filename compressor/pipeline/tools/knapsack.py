"""Spends a budget on functions: decides which to send, and each in which variant.

Each function has variants of rising cost, and one budget covers all of them: a multiple-choice knapsack. Its fractional
optimum follows the convex hull of cost and value of each function, steepest step first. Steps that no longer fit are
skipped for others that do (H. Kellerer, U. Pferschy, D. Pisinger, Knapsack Problems, 2004, ch. 11).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

MIN_STEP_COST = 0.25  # of a step that costs nothing


class VariantCosts:
    """The variants of one function.

    Attributes:
        costs: The tokens of each variant, the shortest first, the complete one last.
        values: What each of them is worth if the function is needed; it rises with the costs.
        steps: The convex hull from "not sent": the value per token of each step, and the variant it leads to.
        steps_if_required: The convex hull from the shortest variant.
    """

    __slots__ = ("costs", "steps", "steps_if_required", "values")

    def __init__(self, costs: Sequence[int], values: Sequence[float]) -> None:
        self.costs = tuple(costs)
        self.values = tuple(values)
        self.steps = self._hull(-1)
        self.steps_if_required = self._hull(0)

    def _hull(self, taken: int) -> tuple[tuple[float, int], ...]:
        steps: list[tuple[float, int]] = []
        while (step := self.best_step(taken, self.costs[-1] + 1)) is not None:
            steps.append(step)
            taken = step[1]
        return tuple(steps)

    def price(self, taken: int, variant: int) -> int:
        """Returns what a variant costs beyond the one that is taken, -1 for none."""
        return self.costs[variant] - (self.costs[taken] if taken >= 0 else 0)

    def best_step(self, taken: int, budget: int) -> tuple[float, int] | None:
        """Returns the steepest step from a variant that fits: its value per token, and the variant it leads to."""
        best: tuple[float, int] | None = None
        now, value = (self.costs[taken], self.values[taken]) if taken >= 0 else (0, 0.0)
        for variant in range(taken + 1, len(self.costs)):
            price = self.costs[variant] - now
            if price > budget:
                break
            rate = (self.values[variant] - value) / max(price, MIN_STEP_COST)
            if best is None or rate > best[0]:
                best = rate, variant
        return best


@dataclass(frozen=True, slots=True)
class FunctionOption:
    """One function to choose.

    Attributes:
        variants: Its variants.
        probability: How likely it is needed.
        is_required: Whether it must be sent.
    """

    variants: VariantCosts
    probability: float
    is_required: bool = False


def allocate(options: Sequence[FunctionOption], budget: int) -> list[int] | None:
    """Allocates a budget.

    Args:
        options: The functions.
        budget: The budget in tokens.

    Returns:
        For each function the index of its variant, -1 if it is not sent. None if the required functions do not fit even
        in their shortest variants.
    """
    taken = [0 if option.is_required else -1 for option in options]
    remaining = budget - sum(option.variants.costs[0] for option in options if option.is_required)
    if remaining < 0:
        return None
    steps = [
        (-rate * option.probability, number, variant)
        for number, option in enumerate(options)
        for rate, variant in (option.variants.steps_if_required if option.is_required else option.variants.steps)
    ]
    steps.sort()
    for _, number, variant in steps:
        price = options[number].variants.price(taken[number], variant)
        if price > remaining:
            break
        taken[number] = variant
        remaining -= price
    return _fill(options, taken, remaining)


def _fill(options: Sequence[FunctionOption], taken: list[int], remaining: int) -> list[int]:
    """Spends what remains on smaller steps."""
    heap: list[tuple[float, int, int]] = []

    def offer(number: int) -> None:
        step = options[number].variants.best_step(taken[number], remaining)
        if step is not None:
            heapq.heappush(heap, (-step[0] * options[number].probability, number, step[1]))

    for number in range(len(options)):
        offer(number)
    while heap:
        _, number, variant = heapq.heappop(heap)
        price = options[number].variants.price(taken[number], variant)
        if price <= remaining:
            taken[number] = variant
            remaining -= price
        offer(number)  # the next step of this function, if one still fits
    return taken
