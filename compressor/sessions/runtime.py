"""Holds what every step of a session works with, and the one way from messages to parsed turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from compressor.context.blocks import SlotSpanFinder
from compressor.context.formats import MessageFormat, detect_format
from compressor.context.formats.known_history import read_changed, read_context
from compressor.context.image_edits import parse_picture_edit
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
        read_context(messages, self.tools)

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
        dialect, context = self._parse_history(messages, previous)
        return ParsedHistory(dialect, context, _pending_call_ids(context.turns[context.settled :]))

    def _parse_history(
        self, messages: Sequence[Any], previous: ParsedHistory | None = None
    ) -> tuple[MessageFormat, Context]:
        """Parses a whole history as `parse` does, and remembers it: the next time only what is new is parsed."""
        if previous is not None and previous.context.history is not None and previous.context.tools is self.tools:
            with suppress(ContextError):
                return read_changed(previous.context, list(messages), len(previous.context.messages))
        return read_context(messages, self.tools, lenient=True)

    def render(self, messages: Sequence[Any], edits: Mapping[int, Edits]) -> list[Any]:
        """Returns the messages with edits applied by index. Messages without edits stay the same objects."""
        dialect, context = self._parse_history(messages)
        paths = {(i, path): text for i, own in edits.items() for path, text in own.items()}
        return dialect.render(context, self.draw(context, paths))

    def draw(self, context: Context, edits: Mapping[tuple[int, Path], str]) -> Mapping[tuple[int, Path], str]:
        """Returns the edits with the pictures that they describe. An image that cannot be drawn stays as it was."""
        if not any(map(parse_picture_edit, edits.values())):
            return edits
        from compressor.images.drawing import draw_edits

        try:
            return draw_edits(context, edits)
        except CompressorError as error:
            self.warn(f"images are sent as they were: {error}")
            return {key: text for key, text in edits.items() if parse_picture_edit(text) is None}

    def tokens(self, turn: Turn, context: Context) -> int:
        """Counts the tokens of one message."""
        return self.counter.count_turn(turn, context.format_name)

    def slot_tokens(self, slot: TextSlot) -> int:
        """Counts the tokens of one text or image."""
        return self.counter.count_slot(slot)

    def edited_tokens(self, tokens: int, turn: Turn, edits: Edits) -> int:
        """Returns the tokens of a message of `tokens` after `edits`."""
        changed = (slot for slot in turn.slots if slot.path in edits)
        count_edit = self.counter.count_edit
        return tokens + sum(count_edit(slot, edits[slot.path]) - self.slot_tokens(slot) for slot in changed)

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
        image_numbers: Mapping[int, Sequence[int]] | None = None,
    ) -> MessageCompression:
        """Returns a compression of these messages that is ready to run.

        Args:
            messages: The messages.
            mode: "ingest" or "compact", see `Compressor.compress`.
            pinned: Indices of messages that stay as they are.
            expansions: Texts that the agent expanded. Similar texts score higher.
            find_constraints: Finds the spans of users' texts that must stay.
            pinned_slots: Message and path of texts that stay as they are.
            image_numbers: The numbers in the session of the images of each message.
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
            image_numbers=image_numbers,
            find_constraints=find_constraints,
            boosted_texts=hints,
        )


def check_tools(tools: Any) -> None:
    """Raises CompressorError unless `tools` is None or a list of tool schemas."""
    if tools is not None and (isinstance(tools, (str, bytes)) or not isinstance(tools, Sequence)):
        raise CompressorError(f"tools must be a list of the tool schemas sent along, not {type(tools).__name__}")


def _pending_call_ids(turns: Sequence[Turn]) -> frozenset[str]:
    pending: set[str] = set()
    for turn in turns:  # in order, because some providers use an id again in every round
        pending.update(turn.call_ids)
        pending.difference_update(turn.result_call_ids)
    return frozenset(pending)
