"""Spends a budget on functions: which to send, each in which form. Knows chances and costs; reads no schema.

A choice for each function from forms of rising cost, one budget over all (a multiple-choice knapsack): its fractional
optimum goes step by step along each function's convex hull of cost and worth, the steepest step first; what no longer
fits is passed over for what still does (H. Kellerer, U. Pferschy, D. Pisinger, Knapsack Problems, 2004, ch. 11).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

#: what a function is worth in each form, the barest first, the whole last: being there counts most
BAREST_VALUE, FULL_VALUE = 0.75, 1.0


@dataclass(frozen=True, slots=True)
class VariantCosts:
    """A function's forms. costs: tokens, the barest form first, the whole last. chance: how likely it is needed. must:
    it may not go."""

    costs: Sequence[int]
    probability: float
    is_required: bool = False


def allocate(options: Sequence[VariantCosts], budget: int) -> list[int] | None:
    """For each option the form taken, -1 for none. None where even the barest forms of what must stay do not fit."""
    taken = [0 if option.is_required else -1 for option in options]
    budget -= sum(option.costs[0] for option in options if option.is_required)
    if budget < 0:
        return None
    steps: list[tuple[float, int, int]] = []

    def offer(number: int) -> None:
        step = _best_step(options[number], taken[number], budget)
        if step is not None:
            heapq.heappush(steps, (-step[0], number, step[1]))

    for number in range(len(options)):
        offer(number)
    while steps:
        _, number, form = heapq.heappop(steps)
        costs = options[number].costs
        price = costs[form] - (costs[taken[number]] if taken[number] >= 0 else 0)
        if price <= budget:
            taken[number] = form
            budget -= price
        offer(number)  # of those there is still room for
    return taken


def _value(option: VariantCosts, form: int) -> float:
    if form < 0:
        return 0.0
    most = len(option.costs) - 1
    return option.probability * (BAREST_VALUE + (FULL_VALUE - BAREST_VALUE) * (form / most if most else 1.0))


def _best_step(option: VariantCosts, taken: int, room: int) -> tuple[float, int] | None:
    """The steepest step from the form taken that there is room for: worth a token, and the form it leads to."""
    best: tuple[float, int] | None = None
    now = option.costs[taken] if taken >= 0 else 0
    for form in range(taken + 1, len(option.costs)):
        if option.costs[form] - now > room:
            break
        rate = (_value(option, form) - _value(option, taken)) / max(option.costs[form] - now, 0.25)
        if best is None or rate > best[0]:
            best = rate, form
    return best
