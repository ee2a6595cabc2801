"""What a call gives back: the compressed context and an account of what happened to it. Computes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from compressor.context.model import Kind

Action = Literal["pinned", "kept", "folded", "excerpt", "dropped"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """One stretch that is not in the output. `span` are character offsets into the block's original text, `score` is
    the scorer's (0 = worthless here), `ref` expands to the block's whole original text."""

    block: int
    message: int
    kind: Kind
    span: tuple[int, int]
    reason: str
    score: float
    ref: str


@dataclass(frozen=True, slots=True)
class BlockReport:
    """What became of one block. `before` and `after` are its texts, the token counts are the target model's."""

    block: int
    message: int
    kind: Kind
    name: str | None
    action: Action
    before: str
    after: str
    tokens_before: int
    tokens_after: int
    reason: str
    layout: str = ""  # the kind of layout the segmenter found ("json", "log", ...), "" where none was needed
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class CacheDependencies:
    """What a result stands on, for who would keep it. `needs`: keys of the store that have to be there, its originals
    among them; `unless`: one that must not; `passing`: a fallback had a part in it that the next call may not need."""

    requires: tuple[str, ...] = ()
    conflicts_with: str = ""
    transient: bool = False


@dataclass
class BaseResult:
    """Shared by all results: the balance and the explanation."""

    tokens_before: int
    tokens_after: int
    budget: int
    warnings: list[str] = field(default_factory=list)
    is_estimate: bool = False  # token counts come from a calibrated estimate, not from the model's own tokenizer
    tokenizer: str = ""
    #: Where the compressor caches: whether this result was there, was being worked out by another, or was worked out.
    cached: Literal["", "hit", "coalesced", "miss"] = ""
    _cache_dependencies: CacheDependencies = field(default=CacheDependencies(), repr=False)
    _dropped: Callable[[], list[Dropped]] = field(default=list, repr=False)
    _blocks: Callable[[], list[BlockReport]] = field(default=list, repr=False)

    @property
    def ratio(self) -> float:
        """How many times smaller: tokens_before / tokens_after (1.0 for an empty context)."""
        return self.tokens_before / self.tokens_after if self.tokens_after else 1.0

    @cached_property
    def dropped(self) -> list[Dropped]:
        """What went, in order of the context. Worked out on first use."""
        return self._dropped()

    @cached_property
    def blocks(self) -> list[BlockReport]:
        """Every block and what became of it, in order of the context. Worked out on first use."""
        return self._blocks()

    def report(self) -> str:
        """A few lines of plain text: the balance, then what happened to each changed block."""
        about = " (estimate)" if self.is_estimate else ""
        lines = [
            f"{self.tokens_before:,} -> {self.tokens_after:,} tokens{about}, {self.ratio:.2f}x, budget {self.budget:,}"
        ]
        for b in self.blocks:
            if b.action in ("pinned", "kept"):
                continue
            name = f" {b.name}" if b.name else ""
            ref = f", ref {b.ref}" if b.ref else ""
            lines.append(
                f"  message {b.message} {b.kind}{name}: {b.action} {b.tokens_before:,} -> {b.tokens_after:,}"
                f" ({b.reason}{ref})"
            )
        lines += [f"  warning: {w}" for w in self.warnings]
        return "\n".join(lines)


@dataclass
class Result(BaseResult):
    """A compressed context, in the caller's dialect and shape."""

    messages: Any = None


@dataclass
class TextResult(BaseResult):
    """A compressed text."""

    text: str = ""


@dataclass
class DocumentsResult(BaseResult):
    """Compressed documents: one text to send, and the documents still in it with their remaining text."""

    text: str = ""
    documents: list[dict[str, Any]] = field(default_factory=list)
