"""What every step of a session works with, and the one way from messages to parsed turns. Holds no history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compressor.context.blocks import SlotSpanFinder
from compressor.context.formats import MessageFormat, detect_format, is_continuation
from compressor.context.model import Context, Path, TextSlot, Turn
from compressor.errors import CompressorError, ContextError
from compressor.pipeline.engine import Engine
from compressor.pipeline.messages import MessageCompression
from compressor.sessions.policy import Policy
from compressor.storage.base import BlobStore
from compressor.tokens import TokenCounter
from compressor.tokens.pricing import Price

Edits = dict[Path, str]
EXPANSION_WEIGHT = 0.7  # weight of a text that was asked for again: as much as the agent's last call (scoring/query.py)


@dataclass(frozen=True)
class ParsedHistory:
    """Messages as they were read. waiting: ids of the calls that have no result yet."""

    dialect: MessageFormat
    context: Context
    pending_call_ids: frozenset[str]

    @property
    def is_self_contained(self) -> bool:
        """Whether what follows can be read alone: no call is open, and nothing stands for one that we do not see."""
        turns = self.context.turns
        legacy = bool(turns) and any(slot.kind == "tool_call" and not slot.call_id for slot in turns[-1].slots)
        blind = self.dialect.name == "openai_responses" and not all(t.slots or t.extras or t.call_ids for t in turns)
        return not (self.pending_call_ids or legacy or blind)


@dataclass
class SessionRuntime:
    """`store` opens the store that cut originals go to, `tools` are the schemas sent along."""

    engine: Engine
    counter: TokenCounter
    policy: Policy
    price: Price
    max_tokens: int
    open_store: Callable[[], BlobStore]
    tools: Sequence[Any] | None = None
    warnings: list[str] = field(default_factory=list)

    def warn(self, *texts: str) -> None:
        """Notes what the user should know, once."""
        self.warnings += [text for text in dict.fromkeys(texts) if text not in self.warnings]

    def parse(self, messages: Sequence[Any]) -> tuple[MessageFormat, Context]:
        """ContextError for what a provider would refuse, but for calls at the end that have no result yet."""
        dialect = detect_format(messages, self.tools)
        return dialect, dialect.parse(messages, self.tools)

    def read(self, messages: Sequence[Any]) -> Context:
        """The same without the dialect; no messages are an empty context."""
        return self.parse(messages)[1] if messages else Context([], [], "", self.tools)

    def read_all(self, messages: Sequence[Any], previous: ParsedHistory | None = None) -> ParsedHistory:
        """The same with what else was found. `known`: what the same objects at the start were read as before; nobody
        has written to them."""
        if previous is not None and previous.context.tools is self.tools and previous.is_self_contained:
            count = len(previous.context.messages)
            rest = messages[count:]
            if 0 < count < len(messages) and is_continuation(previous.dialect, rest):
                try:
                    turns = previous.dialect.parse(rest, self.tools).turns
                except ContextError:
                    pass  # it is told below, with the right number
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
        """The messages with edits by index; untouched ones are the same objects."""
        dialect, context = self.parse(messages)
        return dialect.render(context, {(i, path): text for i, own in edits.items() for path, text in own.items()})

    def tokens(self, turn: Turn, context: Context) -> int:
        """Tokens of one message."""
        return self.counter.count_turn(turn, context.dialect)

    def slot_tokens(self, slot: TextSlot) -> int:
        """Tokens of one text or image."""
        return self.counter.count(slot.text) if slot.image is None else self.counter.count_image(slot.image)

    def edited_tokens(self, tokens: int, turn: Turn, edits: Edits) -> int:
        """Tokens of a message of `tokens` once it is edited."""
        changed = (slot for slot in turn.slots if slot.path in edits)
        return tokens + sum(self.counter.count(edits[slot.path]) - self.slot_tokens(slot) for slot in changed)

    def head_tokens(self, head: Sequence[Any]) -> int:
        """Tokens of a request that has only these messages: with what primes the reply, and the tool schemas."""
        context = self.read(head)
        own = sum(self.tokens(turn, context) for turn in context.turns)
        return own + self.counter.count_reply_overhead + self.counter.count_tools(self.tools)

    def prepare_compression(
        self,
        messages: Sequence[Any],
        mode: str,
        pinned: frozenset[int],
        expansions: Sequence[str],
        find_constraints: SlotSpanFinder | None = None,
    ) -> MessageCompression:
        """A compression of these messages, ready to run."""
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
            find_constraints=find_constraints,
            boosted_texts=hints,
        )


def _pending_call_ids(turns: Sequence[Turn], before: frozenset[str] = frozenset()) -> frozenset[str]:
    waiting = set(before)
    for turn in turns:  # in order: some providers use an id again in every round
        waiting.update(turn.call_ids)
        waiting.difference_update(turn.result_call_ids)
    return frozenset(waiting)


def check_tools(tools: Any) -> None:
    """CompressorError for tool schemas that are no list."""
    if tools is not None and (isinstance(tools, (str, bytes)) or not isinstance(tools, Sequence)):
        raise CompressorError(f"tools are a list of the schemas that are sent along, not {type(tools).__name__}")
