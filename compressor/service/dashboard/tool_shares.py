"""Divides the dollars that a call saved among the tools whose results were cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compressor.caches import LruCache
from compressor.sessions.usage_notes import ToolUse

MAX_SESSIONS = 2_048  # whose tools are known
MAX_TOOLS = 100  # of one session

Sizes = dict[str, tuple[int, int]]  # tokens before and after, by tool


class ToolShares:
    """Knows what the tools of each session have returned, as far as this process has seen it."""

    def __init__(self) -> None:
        self._sessions: LruCache[str, Sizes] = LruCache(MAX_SESSIONS)

    def add(self, session: str, uses: Sequence[ToolUse]) -> Sizes:
        """Adds new results of a session, and returns the sizes of all of them. A call without a session stands alone.

        Args:
            session: The id of the session, or "".
            uses: The new results.
        """
        sizes = dict((self._sessions.get(session) if session else None) or {})
        for use in uses:
            if use.name in sizes or len(sizes) < MAX_TOOLS:
                before, after = sizes.get(use.name, (0, 0))
                sizes[use.name] = before + use.tokens_before, after + use.tokens_after
        if session and uses:
            self._sessions.put(session, sizes)
        return sizes


def tool_fractions(sizes: Mapping[str, tuple[int, int]], removed_tokens: int) -> dict[str, float]:
    """Returns the fraction of a call's removed tokens that is due to each tool.

    First counts what was cut when the results were new. What a compaction removed beyond that is divided in proportion
    to what was left of the results. The sum is below 1 if more was removed than the tools had returned.

    Args:
        sizes: Tokens of all results before and after the first cut, by tool.
        removed_tokens: How many tokens the call was smaller than without compression.
    """
    cuts = {name: max(0, before - after) for name, (before, after) in sizes.items()}
    cut = sum(cuts.values())
    if removed_tokens <= 0 or not sizes:
        return {}
    if cut >= removed_tokens:
        return {name: tokens / cut for name, tokens in cuts.items() if tokens}
    left = sum(after for _, after in sizes.values())
    evicted = min(removed_tokens - cut, left)
    weights = {name: cuts[name] + (evicted * after / left if left else 0.0) for name, (_, after) in sizes.items()}
    return {name: weight / removed_tokens for name, weight in weights.items() if weight}
