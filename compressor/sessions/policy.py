"""What a session cuts, when, and down to what. Data only; `benchmarks/LOG.md` says what chose the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from compressor.errors import CompressorError
from compressor.tokens.pricing import Price

if TYPE_CHECKING:
    from compressor.sessions.summaries import Summarizer


@dataclass(frozen=True, slots=True)
class ToolRule:
    """How results of one tool are treated.

    keep: never cut or fold them, neither at birth nor in a compaction. most: tokens a result may have after its birth,
    instead of the policy's own rule. CompressorError for a `most` that is no whole number from 1 on.
    """

    never_compress: bool = False
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.max_tokens is not None and not _is_count(self.max_tokens):
            raise CompressorError(
                f"a tool's results may have a whole number of tokens, at least 1, not {self.max_tokens!r}"
            )


@dataclass(frozen=True, slots=True)
class Policy:
    """When a session cuts what.

    ingest: whether tool results are compressed at birth. A result of more than `ingest_from` tokens is cut to
        `ingest_share` of them, but not below `ingest_from`, and never above `ingest_most`; smaller ones are
        folded only.
    compact: whether the history is re-selected when the net bill or the budget says so.
    low: tokens that a compaction aims at beyond what is pinned (system prompt, tool schemas, task); a budget smaller
        than that aims at half of itself.
    recent: share of `low` for the newest rounds, which stay as they are.
    tools: rules by tool name; "*" is every other tool.
    prices: a `Price`, or None for the model's own in the price table.
    summarizer: what summarises rounds that leave the view; None: they are cut, each behind its ref, with an index.
    traces: whether finished turns' reasoning is reduced in a compaction.

    CompressorError for values that make no sense.
    """

    ingest: bool = True
    tool_result_min_tokens: int = 1_000
    tool_result_keep_fraction: float = 0.7
    tool_result_max_tokens: int = 4_000
    compact: bool = True
    compaction_target_tokens: int = 3_000
    recent_fraction: float = 0.5
    strip_reasoning: bool = True
    tools: Mapping[str, ToolRule] = field(default_factory=dict)
    pricing: Price | None = None
    summarizer: Summarizer | None = None

    def __post_init__(self) -> None:
        for name in ("tool_result_min_tokens", "tool_result_max_tokens", "compaction_target_tokens"):
            if not _is_count(getattr(self, name)):
                raise CompressorError(f"{name} must be a positive whole number of tokens, not {getattr(self, name)!r}")
        for name in ("tool_result_keep_fraction", "recent_fraction"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
                raise CompressorError(f"{name} is a fraction in (0, 1], not {value!r}")
        if not isinstance(self.tools, Mapping) or not all(isinstance(r, ToolRule) for r in self.tools.values()):
            raise CompressorError(
                f'tools are rules by name, {{"search": ToolRule(max_tokens=500)}}, not {self.tools!r:.80}'
            )
        if self.pricing is not None and not isinstance(self.pricing, Price):
            raise CompressorError(f"pricing must be a Price or None, not {self.pricing!r:.80}")
        if self.summarizer is not None and not hasattr(self.summarizer, "update"):
            raise CompressorError(
                f"a summarizer has an `update`: make one with `summarizer(...)`, not {self.summarizer!r:.80}"
            )

    def rule_for(self, tool: str | None) -> ToolRule:
        """The rule for a tool's results."""
        return self.tools.get(tool or "", self.tools.get("*", ToolRule()))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
