"""Holds what every step of a session works with, and the one way from messages to parsed turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from compressor.context.blocks import SlotSpanFinder
from compressor.context.formats import MessageFormat, detect_format, is_continuation
from compressor.context.model import Context, Path, TextSlot, Turn
from compressor.errors import CompressorError, ContextError
from compressor.pipeline.engine import Engine
from compressor.pipeline.messages import MessageCompression
from compressor.sessions.policy import Policy
from compressor.sessions.policy_sizes import CompactionSizes
from compressor.sessions.usage_notes import UsageNotes
from compressor.storage.base import BlobStore
from compressor.tokens import TokenCounter
from compressor.tokens.pricing import Price

Edits = dict[Path, str]
EXPANSION_WEIGHT = 0.7  # query weight of an expanded text: as much as the agent's last call (scoring/query.py)


class CompressorLike(Protocol):
    """What a session needs of a `Compressor`."""

    @property
    def engine(self) -> Engine:
        """Returns the engine that scores and cuts."""

    @property
    def store(self) -> BlobStore:
        """Returns the store that keeps originals and journals."""


@dataclass(frozen=True)
class ParsedHistory:
    """Messages and what was parsed from them.

    Attributes:
        dialect: The format of the messages.
        context: The parsed messages.
        pending_call_ids: Ids of tool calls that have no result yet.
    """

    dialect: MessageFormat
    context: Context
    pending_call_ids: frozenset[str]

    @property
    def is_self_contained(self) -> bool:
        """Returns whether messages that follow can be parsed alone.

        They cannot while a call is open, or where an item refers to one that is not in the messages.
        """
        turns = self.context.turns
        legacy = bool(turns) and any(slot.kind == "tool_call" and not slot.call_id for slot in turns[-1].slots)
        blind = any(turn.is_summary and turn.linked_ids for turn in turns)
        return not (self.pending_call_ids or legacy or blind)


@dataclass
class SessionRuntime:
    """The engine, counter, policy and prices of one conversation.

    Attributes:
        engine: Scores and cuts.
        counter: Counts tokens as the model's provider does.
        policy: Says what is cut, and when.
        price: The model's prices.
        reference_price: The prices that decide when to compact: the policy's own, or typical ones, so that the same
            history gives the same view with every model.
        sizes: When a compaction is due, and what it leaves.
        max_tokens: The hard limit of the view.
        open_store: Returns the store that cut originals go to.
        binds_reasoning: Whether the model refuses signed reasoning behind anything that has changed.
        tools: The tool schemas sent along, or None.
        removed_tokens: Tokens of tool schemas and examples that were removed before the request came here. Without
            compression they would be sent.
        warnings: What the user should know, oldest first.
        usage_notes: What tool results cost and the provider billed, for a service that reports it.
    """

    engine: Engine
    counter: TokenCounter
    policy: Policy
    price: Price
    reference_price: Price
    sizes: CompactionSizes
    max_tokens: int
    open_store: Callable[[], BlobStore]
    binds_reasoning: bool = False
    tools: Sequence[Any] | None = None
    removed_tokens: int = 0
    warnings: list[str] = field(default_factory=list)
    usage_notes: UsageNotes = field(default_factory=UsageNotes)

    def warn(self, *texts: str) -> None:
        """Records warnings, each text once."""
        self.warnings += [text for text in dict.fromkeys(texts) if text not in self.warnings]

    def parse(self, messages: Sequence[Any]) -> tuple[MessageFormat, Context]:
        """Parses messages. Those that a provider would refuse become turns that nobody edits.

        Raises:
            ContextError: The messages are of no known format.
        """
        dialect = detect_format(messages, self.tools, lenient=True)
        return dialect, dialect.parse(messages, self.tools, lenient=True)

    def check(self, messages: Sequence[Any]) -> None:
        """Raises ContextError if a provider would refuse the messages. Calls at the end may lack their results."""
        detect_format(messages, self.tools).parse(messages, self.tools)

    def read(self, messages: Sequence[Any]) -> Context:
        """Parses messages as `parse` does, without their format. No messages are an empty context."""
        return self.parse(messages)[1] if messages else Context([], [], "", self.tools)

    def read_all(self, messages: Sequence[Any], previous: ParsedHistory | None = None) -> ParsedHistory:
        """Parses messages and finds the tool calls without a result.

        Args:
            messages: The messages.
            previous: The result for the same objects at the start of `messages`. Nobody may have written to them since.
                Only what follows is parsed, where that is possible.
        """
        if previous is not None and previous.context.tools is self.tools and previous.is_self_contained:
            count = len(previous.context.messages)
            rest = messages[count:]
            if 0 < count < len(messages) and is_continuation(previous.dialect, rest):
                try:
                    turns = previous.dialect.parse(rest, self.tools).turns
                except ContextError:
                    pass  # what is malformed may belong to what stands before it
                else:
                    for turn in turns:
                        turn.index += count
                        for slot in turn.slots:
                            slot.message += count
                    whole = Context(messages, [*previous.context.turns, *turns], previous.dialect.name, self.tools)
                    return ParsedHistory(previous.dialect, whole, _pending_call_ids(turns, previous.pending_call_ids))
        dialect, context = self.parse(messages)
        return ParsedHistory(dialect, context, _pending_call_ids(context.turns))

    def render(self, messages: Sequence[Any], edits: Mapping[int, Edits]) -> list[Any]:
        """Returns the messages with edits applied by index. Messages without edits stay the same objects."""
        dialect, context = self.parse(messages)
        return dialect.render(context, {(i, path): text for i, own in edits.items() for path, text in own.items()})

    def tokens(self, turn: Turn, context: Context) -> int:
        """Counts the tokens of one message."""
        return self.counter.count_turn(turn, context.format_name)

    def slot_tokens(self, slot: TextSlot) -> int:
        """Counts the tokens of one text or image."""
        return self.counter.count(slot.text) if slot.image is None else self.counter.count_image(slot.image)

    def edited_tokens(self, tokens: int, turn: Turn, edits: Edits) -> int:
        """Returns the tokens of a message of `tokens` after `edits`."""
        changed = (slot for slot in turn.slots if slot.path in edits)
        return tokens + sum(self.counter.count(edits[slot.path]) - self.slot_tokens(slot) for slot in changed)

    def head_tokens(self, head: Sequence[Any]) -> int:
        """Counts a request that has only these messages, with the tool schemas and the tokens that start the reply."""
        context = self.read(head)
        own = sum(self.tokens(turn, context) for turn in context.turns)
        return own + self.counter.reply_overhead + self.counter.count_tools(self.tools)

    def prepare_compression(
        self,
        messages: Sequence[Any],
        mode: str,
        pinned: frozenset[int],
        expansions: Sequence[str],
        find_constraints: SlotSpanFinder | None = None,
        pinned_slots: frozenset[tuple[int, Path]] = frozenset(),
    ) -> MessageCompression:
        """Returns a compression of these messages that is ready to run.

        Args:
            messages: The messages.
            mode: "ingest" or "compact", see `Compressor.compress`.
            pinned: Indices of messages that stay as they are.
            expansions: Texts that the agent expanded. Similar texts score higher.
            find_constraints: Finds the spans of users' texts that must stay.
            pinned_slots: Message and path of texts that stay as they are.
        """
        dialect, context = self.parse(messages)
        hints = tuple((text, EXPANSION_WEIGHT) for text in expansions)
        return MessageCompression(
            context,
            dialect,
            self.counter,
            self.engine,
            mode,
            None,
            self.open_store,
            False,
            pinned=pinned,
            pinned_slots=pinned_slots,
            find_constraints=find_constraints,
            boosted_texts=hints,
        )


def check_tools(tools: Any) -> None:
    """Raises CompressorError unless `tools` is None or a list of tool schemas."""
    if tools is not None and (isinstance(tools, (str, bytes)) or not isinstance(tools, Sequence)):
        raise CompressorError(f"tools must be a list of the tool schemas sent along, not {type(tools).__name__}")


def _pending_call_ids(turns: Sequence[Turn], before: frozenset[str] = frozenset()) -> frozenset[str]:
    pending = set(before)
    for turn in turns:  # in order, because some providers use an id again in every round
        pending.update(turn.call_ids)
        pending.difference_update(turn.result_call_ids)
    return frozenset(pending)
