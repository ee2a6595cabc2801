"""The result of a selection of tools: the tools to send, and what was done with each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

ToolAction = Literal["native", "pinned", "kept", "slimmed", "dropped"]


@dataclass(frozen=True, slots=True)
class ToolReport:
    """What was done with one tool.

    Attributes:
        index: Its position in the list given.
        name: Its name.
        action: "native" (the provider's own, never changed), "pinned" (must be sent unchanged), "kept" (sent
            unchanged), "slimmed" (sent in a shorter variant) or "dropped".
        tokens_before: Its tokens as given.
        tokens_after: Its tokens as sent.
        relevance: 0 if the query says nothing about it; the best match has 1 or more.
        ref: Expands to the complete schema as JSON; None for a tool that is sent unchanged.
    """

    index: int
    name: str
    action: ToolAction
    tokens_before: int
    tokens_after: int
    relevance: float = 0.0
    ref: str | None = None


@dataclass
class ToolsResult:
    """Tools within their budget, in the order and format given.

    Attributes:
        tools: The tools to send; unchanged ones are the caller's own objects.
        tokens_before: The tokens of all tools as given.
        tokens_after: The tokens of the tools to send.
        budget: The budget in tokens.
        reports: What was done with each tool given.
        warnings: What the user should know.
        is_estimate: Whether tokens are a calibrated estimate, not counted with the model's own tokenizer.
        tokenizer: The name of the tokenizer that counted.
    """

    tools: list[Any]
    tokens_before: int
    tokens_after: int
    budget: int
    reports: list[ToolReport] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    is_estimate: bool = False
    tokenizer: str = ""

    @property
    def ratio(self) -> float:
        """The compression ratio, tokens_before / tokens_after (1.0 for no tools)."""
        return self.tokens_before / self.tokens_after if self.tokens_after else 1.0

    @property
    def dropped(self) -> list[ToolReport]:
        """The reports of the tools that are not sent, in order."""
        return [report for report in self.reports if report.action == "dropped"]

    def report(self) -> str:
        """Returns a few lines of plain text: tokens before and after, each tool that was changed, warnings."""
        note = " (estimate)" if self.is_estimate else ""
        lines = [
            f"{self.tokens_before:,} -> {self.tokens_after:,} tokens{note}, {self.ratio:.2f}x, budget {self.budget:,}"
        ]
        lines += [
            f"  {r.name}: {r.action} {r.tokens_before:,} -> {r.tokens_after:,} (ref {r.ref})"
            for r in self.reports
            if r.ref is not None
        ]
        lines += [f"  warning: {w}" for w in self.warnings]
        return "\n".join(lines)
