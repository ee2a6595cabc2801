"""Defines the sizes at which a session compacts, and the presets that trade facts against the bill.

Sizes are written as LangChain has them: `("fraction", 0.85)` or `("tokens", 12_000)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compressor.errors import CompressorError

Size = tuple[str, float]
MAX_TARGET_FRACTION = 0.8  # of the budget: a compaction that leaves more is due again after the next round


@dataclass(frozen=True, slots=True)
class CompactionSizes:
    """When a compaction is due, and what it leaves.

    Attributes:
        trigger: The size at which a view is compacted, as a size of the budget. "cost" compacts earlier, once that
            lowers the bill.
        target: The size that a compaction aims at.
    """

    trigger: Size | str
    target: Size


#: With a budget, it is used: the view grows until it is full, and a compaction makes room for the next rounds.
BUDGET_SIZES = CompactionSizes(("fraction", 1.0), ("fraction", 0.6))

#: Without a budget, a compaction is due as soon as it lowers the bill. `benchmarks/LOG.md` has the cost of each.
PRESETS: Mapping[str, CompactionSizes] = {
    "faithful": CompactionSizes("cost", ("tokens", 22_000)),
    "balanced": CompactionSizes("cost", ("tokens", 10_000)),
    "frugal": CompactionSizes("cost", ("tokens", 4_500)),
}
DEFAULT_PRESET = "balanced"


def check_size(name: str, value: Any) -> Size:
    """Returns a size.

    Args:
        name: The name of the setting, for errors.
        value: `("fraction", x)` with x above 0 and at most 1, or `("tokens", n)` with n of at least 1. A list will do.

    Raises:
        CompressorError: The value is something else.
    """
    if isinstance(value, (tuple, list)) and len(value) == 2 and not isinstance(value[1], bool):
        unit, amount = value
        if unit == "fraction" and isinstance(amount, (int, float)) and 0 < amount <= 1:
            return ("fraction", float(amount))
        if unit == "tokens" and isinstance(amount, int) and amount >= 1:
            return ("tokens", amount)
    raise CompressorError(
        f'Policy.{name} must be ("fraction", x) with 0 < x <= 1, or ("tokens", n) with a whole n >= 1, '
        f"not {value!r:.80}"
    )


def resolve_trigger(trigger: Size, limit: int, fixed: int) -> int:
    """Returns the tokens of a view above which a compaction is due.

    Args:
        trigger: The size.
        limit: The most tokens that a view may have.
        fixed: The tokens of system prompt and tool schemas, which a size in tokens does not count.
    """
    unit, amount = trigger
    return min(limit, int(amount * limit) if unit == "fraction" else fixed + int(amount))


def resolve_target(target: Size, limit: int, fixed: int) -> int:
    """Returns the tokens of a view that a compaction aims at.

    A large system prompt leaves little of a fraction. So at least the same fraction of what it leaves is for the
    history.

    Args:
        target: The size.
        limit: The most tokens that a view may have.
        fixed: The tokens of system prompt and tool schemas, which a size in tokens does not count.
    """
    unit, amount = target
    room = max(1, limit - fixed)
    if unit == "tokens":
        return fixed + max(1, min(int(amount), int(MAX_TARGET_FRACTION * room)))
    return max(int(amount * limit), fixed + max(1, int(amount * room))) if fixed < limit else limit
