"""What a choice of tools gives back: the tools to send, and what became of each. Computes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

ToolAction = Literal["native", "pinned", "kept", "slimmed", "dropped"]


@dataclass(frozen=True, slots=True)
class ToolReport:
    """One tool. index: its place in the list given. action: "native" (the provider's own, never touched), "pinned"
    (stays word for word), "kept" (as it was), "slimmed" or "dropped". relevance: 0 = the query says nothing of it, 1 or
    more: the best match. ref: what `Compressor.expand` gives the whole schema for, as JSON; None for what is whole."""

    index: int
    name: str
    action: ToolAction
    tokens_before: int
    tokens_after: int
    relevance: float = 0.0
    ref: str | None = None


@dataclass
class ToolsResult:
    """Tools within their budget, in the order and dialect given; untouched ones are the same objects."""

    tools: list[Any]
    tokens_before: int
    tokens_after: int
    budget: int
    reports: list[ToolReport] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    is_estimate: bool = False  # token counts come from a calibrated estimate, not from the model's own tokenizer
    tokenizer: str = ""

    @property
    def ratio(self) -> float:
        """How many times smaller: tokens_before / tokens_after (1.0 for no tools)."""
        return self.tokens_before / self.tokens_after if self.tokens_after else 1.0

    @property
    def dropped(self) -> list[ToolReport]:
        """The tools that are not sent, in order."""
        return [report for report in self.reports if report.action == "dropped"]

    def report(self) -> str:
        """A few lines of plain text: the balance, then each tool that was changed."""
        about = " (estimate)" if self.is_estimate else ""
        lines = [
            f"{self.tokens_before:,} -> {self.tokens_after:,} tokens{about}, {self.ratio:.2f}x, budget {self.budget:,}"
        ]
        lines += [
            f"  {r.name}: {r.action} {r.tokens_before:,} -> {r.tokens_after:,} (ref {r.ref})"
            for r in self.reports
            if r.ref is not None
        ]
        lines += [f"  warning: {w}" for w in self.warnings]
        return "\n".join(lines)
