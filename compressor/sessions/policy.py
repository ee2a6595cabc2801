"""What a session cuts, when, and down to what. Data only; `benchmarks/LOG.md` says what chose the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from compressor.errors import CompressorError

if TYPE_CHECKING:
    from compressor.sessions.summaries import Summarizer
    from compressor.tokens.pricing import Price


@dataclass(frozen=True, slots=True)
class ToolRule:
    """How results of one tool are treated.

    keep: never cut or fold them, neither at birth nor in a compaction. most: tokens a result may have after its birth,
    instead of the policy's own rule. CompressorError for a `most` that is no whole number from 1 on.
    """

    keep: bool = False
    most: int | None = None

    def __post_init__(self) -> None:
        if self.most is not None and not _is_count(self.most):
            raise CompressorError(f"a tool's results may have a whole number of tokens, at least 1, not {self.most!r}")


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
    ingest_from: int = 1_000
    ingest_share: float = 0.7
    ingest_most: int = 4_000
    compact: bool = True
    low: int = 3_000
    recent: float = 0.5
    traces: bool = True
    tools: Mapping[str, ToolRule] = field(default_factory=dict)
    prices: Price | None = None
    summarizer: Summarizer | None = None

    def __post_init__(self) -> None:
        for name in ("ingest_from", "ingest_most", "low"):
            if not _is_count(getattr(self, name)):
                raise CompressorError(f"{name} must be a positive whole number of tokens, not {getattr(self, name)!r}")
        for name in ("ingest_share", "recent"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
                raise CompressorError(f"{name} is a share in (0, 1], not {value!r}")
        if not isinstance(self.tools, Mapping) or not all(isinstance(r, ToolRule) for r in self.tools.values()):
            raise CompressorError(f'tools are rules by name, {{"search": ToolRule(most=500)}}, not {self.tools!r:.80}')
        if self.prices is not None and not hasattr(self.prices, "cached"):
            raise CompressorError(f"prices are a Price or None, not {self.prices!r:.80}")
        if self.summarizer is not None and not hasattr(self.summarizer, "update"):
            raise CompressorError(
                f"a summarizer has an `update`: make one with `summarizer(...)`, not {self.summarizer!r:.80}"
            )

    def rule(self, tool: str | None) -> ToolRule:
        """The rule for a tool's results."""
        return self.tools.get(tool or "", self.tools.get("*", ToolRule()))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
