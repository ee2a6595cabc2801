"""What a compression returns: the compressed context, and a report of what happened to each block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from compressor.context.model import Kind

Action = Literal["pinned", "kept", "folded", "excerpt", "dropped"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """One span that is not in the output.

    Attributes:
        block: Number of the block that the span is a part of.
        message: Index of the message.
        kind: The kind of content.
        span: Start and end offset in characters in the block's original text.
        reason: Why it was dropped.
        score: The scorer's score; 0 means that it is worthless for this query.
        ref: Expands to the block's whole original text.
    """

    block: int
    message: int
    kind: Kind
    span: tuple[int, int]
    reason: str
    score: float
    ref: str


@dataclass(frozen=True, slots=True)
class BlockImage:
    """The image of a block, as it was and as it is sent.

    Attributes:
        width: Width in pixels; 0 if unknown.
        height: Height in pixels; 0 if unknown.
        shown_width: Width of the picture that is sent; 0 if none is, or if the size is unknown.
        shown_height: Its height.
        edit: What stands for the image, see `compressor.context.image_edits`; "" if it stays as it is, or has left with
            its whole message.
        part: The image part of the message; None in a copy of a result.
    """

    width: int
    height: int
    shown_width: int
    shown_height: int
    edit: str = ""
    part: Any = field(default=None, repr=False, compare=False)

    @property
    def sizes(self) -> str:
        """The sizes in pixels: "1280 × 800 -> 640 × 400", "1280 × 800" if no other picture is sent, or ""."""
        before, after = _size(self.width, self.height), _size(self.shown_width, self.shown_height)
        return f"{before} -> {after}" if before and after and before != after else before or after


def _size(width: int, height: int) -> str:
    return f"{width} × {height}" if width and height else ""


@dataclass(frozen=True, slots=True)
class BlockReport:
    """What became of one block.

    Attributes:
        block: Number of the block.
        message: Index of the message.
        kind: The kind of content.
        name: For tool calls and results, the tool's name.
        action: What was done: "folded" means shortened without loss, "excerpt" that parts were dropped.
        before: The text before.
        after: The text after.
        tokens_before: Tokens of the text before, in the target model's tokens.
        tokens_after: Tokens of the text after.
        reason: Why that was done.
        layout: The kind of layout that the segmenter found ("json", "log", ...); "" if the text was not segmented.
        ref: Expands to the whole original text; None if nothing is missing.
        image: The image, if the block is one.
    """

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
    layout: str = ""
    ref: str | None = None
    image: BlockImage | None = None


@dataclass(frozen=True, slots=True)
class ToolSize:
    """What the results of one tool took.

    Attributes:
        name: The tool's name; "" if it is not known.
        results: How many blocks of results there are.
        tokens_before: Their tokens before.
        tokens_after: Their tokens after.
    """

    name: str
    results: int
    tokens_before: int
    tokens_after: int


@dataclass(frozen=True, slots=True)
class CacheDependencies:
    """What must hold for a cached result to stay valid.

    Attributes:
        requires: Keys that must exist in the store, among them those of the originals.
        conflicts_with: A key that must not exist in the store; "" for none.
        transient: A fallback took part that the next call may not need, so the result is not cached.
    """

    requires: tuple[str, ...] = ()
    conflicts_with: str = ""
    transient: bool = False


@dataclass
class BaseResult:
    """What all results have in common.

    Attributes:
        tokens_before: Tokens of the input, in the target model's tokens.
        tokens_after: Tokens of the output.
        budget: The budget in tokens.
        warnings: Every fallback that was taken.
        is_estimate: Token counts come from a calibrated estimate, not from the model's own tokenizer.
        tokenizer: The name of the tokenizer that counted.
        cached: Where results are cached: whether this one was stored ("hit"), was computed by a concurrent identical
            call, or by this call ("miss"). "" where results are not cached.
    """

    tokens_before: int
    tokens_after: int
    budget: int
    warnings: list[str] = field(default_factory=list)
    is_estimate: bool = False
    tokenizer: str = ""
    cached: Literal["", "hit", "coalesced", "miss"] = ""
    _cache_dependencies: CacheDependencies = field(default=CacheDependencies(), repr=False)
    _dropped: Callable[[], list[Dropped]] = field(default=list, repr=False)
    _blocks: Callable[[], list[BlockReport]] = field(default=list, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled and copied: the fields, with what is otherwise computed on first use.

        Images that are not sent would make a copy large, so the reports of blocks do not have them there.
        """
        blocks = [replace(b, image=replace(b.image, part=None)) if b.image else b for b in self.blocks]
        computed = {"dropped": self.dropped, "blocks": blocks}
        return {**vars(self), **computed, "_dropped": list, "_blocks": list}

    @property
    def ratio(self) -> float:
        """Returns how many times smaller the output is: tokens_before / tokens_after; 1.0 for an empty context."""
        return self.tokens_before / self.tokens_after if self.tokens_after else 1.0

    @cached_property
    def dropped(self) -> list[Dropped]:
        """Returns the dropped spans in order of the context; computed on first use."""
        return self._dropped()

    @cached_property
    def blocks(self) -> list[BlockReport]:
        """Returns a report of every block in order of the context; computed on first use."""
        return self._blocks()

    def report(self) -> str:
        """Returns a few lines of plain text: the totals, then what happened to each changed block."""
        about = " (estimate)" if self.is_estimate else ""
        lines = [
            f"{self.tokens_before:,} -> {self.tokens_after:,} tokens{about}, {self.ratio:.2f}x, budget {self.budget:,}"
        ]
        for b in self.blocks:
            if b.action in ("pinned", "kept"):
                continue
            name = f" {b.name}" if b.name else ""
            ref = f", ref {b.ref}" if b.ref else ""
            sizes = f", {b.image.sizes} pixels" if b.image and b.image.sizes else ""
            lines.append(
                f"  message {b.message} {b.kind}{name}{sizes}: {b.action} {b.tokens_before:,} -> {b.tokens_after:,}"
                f" ({b.reason}{ref})"
            )
        lines += [f"  warning: {w}" for w in self.warnings]
        return "\n".join(lines)


@dataclass
class Result(BaseResult):
    """A compressed context.

    Attributes:
        messages: The messages to send, in the format and shape of the input.
    """

    messages: Any = None
    _tool_sizes: Callable[[], list[ToolSize]] = field(default=list, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled and copied."""
        return {**super().__getstate__(), "tool_sizes": self.tool_sizes, "_tool_sizes": list}

    @cached_property
    def tool_sizes(self) -> list[ToolSize]:
        """Returns what the results of each tool took, in the order of the context; computed on first use."""
        return self._tool_sizes()


@dataclass
class TextResult(BaseResult):
    """A compressed text.

    Attributes:
        text: The text to send.
    """

    text: str = ""


@dataclass
class DocumentsResult(BaseResult):
    """Compressed documents.

    Attributes:
        text: One text to send.
        documents: The documents that are still in it, with their remaining text.
    """

    text: str = ""
    documents: list[dict[str, Any]] = field(default_factory=list)
