"""Compares the groups of a rollout: per call and per conversation, with counts, and no claim from too few of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

#: Measured calls, and conversations, that both groups need before their difference is named.
MIN_CALLS, MIN_CONVERSATIONS = 100, 20
_CONFIDENCE = 1.96  # standard errors on each side: 95 % of the normal distribution
_TOKENS = ("uncached", "cached", "cache_written", "output")

Sums = Mapping[str, float]


def describe_group(sums: Sums) -> dict[str, Any]:
    """Returns the figures of a group as JSON data, from its sums.

    Figures per call are over the measured calls. None stands for what cannot be said, because nothing was counted.
    """
    calls, measured, conversations = (int(sums.get(name, 0)) for name in ("calls", "measured_calls", "conversations"))
    tokens = {kind: int(sums.get(f"tokens:{kind}", 0)) for kind in _TOKENS}
    prompt = sum(tokens.values()) - tokens["output"]
    dollars = sums.get("dollars", 0.0)
    return {
        "conversations": conversations,
        "calls": calls,
        "measured_calls": measured,
        "calls_per_conversation": _ratio(calls, conversations),
        "prompt_tokens_per_call": _ratio(prompt, measured),
        "output_tokens_per_call": _ratio(tokens["output"], measured),
        "cached_fraction": _ratio(tokens["cached"], prompt),
        "dollars": round(dollars, 6),
        "dollars_per_call": _ratio(dollars, measured),
        "dollars_per_conversation": _ratio(dollars, conversations),
        "provider_errors": int(sums.get("provider_errors", 0)),
        "provider_error_fraction": _ratio(sums.get("provider_errors", 0), calls),
        "expand_rounds": int(sums.get("expand_rounds", 0)),
        "uncompressed_calls": int(sums.get("uncompressed_calls", 0)),
        "added_seconds_mean": _ratio(sums.get("added_seconds_sum", 0.0), calls),
        "added_seconds_p95_below": _quantile(sums, 0.95),
    }


def describe_audit(sums: Sums) -> dict[str, Any]:
    """Returns what compression would have saved, by our count, without the expand calls that it would have led to."""
    before, after = sums.get("audit_tokens:before", 0), sums.get("audit_tokens:after", 0)
    cost, cost_after = sums.get("audit_dollars:before", 0.0), sums.get("audit_dollars:after", 0.0)
    return {
        "tokens_before": int(before),
        "tokens_after": int(after),
        "tokens_saved_fraction": _ratio(before - after, before),
        "prompt_dollars_before": round(cost, 6),
        "prompt_dollars_after": round(cost_after, 6),
        "dollars_saved_fraction": _ratio(cost - cost_after, cost),
    }


def compare(compressed: Sums, holdout: Sums) -> dict[str, Any]:
    """Returns how the dollars per call of the two groups differ, or why nothing can be said.

    The interval holds the true difference in 95 % of all drawings. It takes whole conversations as drawn, not calls:
    the calls of one conversation resemble each other.
    """
    for name, sums in (("compressed", compressed), ("holdout", holdout)):
        calls, conversations = int(sums.get("measured_calls", 0)), int(sums.get("conversations", 0))
        if calls < MIN_CALLS or conversations < MIN_CONVERSATIONS:
            has = f"the group {name!r} has {calls} measured calls in {conversations} conversations"
            return {"difference": None, "reason": f"{has}: {MIN_CALLS} in {MIN_CONVERSATIONS} are needed"}
    (ours, our_error), (theirs, their_error) = map(_dollars_per_call, (compressed, holdout))
    if theirs <= 0:
        return {"difference": None, "reason": "the group 'holdout' cost nothing, by list prices"}
    # The error of a quotient of two independent means.
    error = ours / theirs * math.hypot(our_error / ours if ours else 0.0, their_error / theirs)
    change, margin = ours / theirs - 1, _CONFIDENCE * error
    return {
        "difference": round(change, 4),
        "interval": [round(change - margin, 4), round(change + margin, 4)],
        "reason": "" if abs(change) > margin else "the interval includes 0: no difference is shown yet",
    }


def _dollars_per_call(sums: Sums) -> tuple[float, float]:
    """Returns the dollars per call of a group, and the standard error, by conversations."""
    count, calls, dollars = sums["conversations"], sums["measured_calls"], sums.get("dollars", 0.0)
    mean = dollars / calls
    squares = {name: sums.get(f"conversation_squares:{name}", 0.0) for name in ("calls_squared", "dollars_squared")}
    products = sums.get("conversation_squares:calls_dollars", 0.0)
    spread = squares["dollars_squared"] - 2 * mean * products + mean**2 * squares["calls_squared"]
    return mean, math.sqrt(max(0.0, spread) * count / (count - 1)) / calls


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 8) if whole else None


def _quantile(sums: Sums, fraction: float) -> float | None:
    """Returns the bound of the histogram's bucket that holds a quantile; None without calls."""
    buckets = sorted(
        (float(name.partition(":")[2]), value)
        for name, value in sums.items()
        if name.startswith("added_seconds_bucket:")
    )
    total = buckets[-1][1] if buckets else 0
    if not total:
        return None
    return next((bound for bound, value in buckets if value >= fraction * total and bound < math.inf), None)
