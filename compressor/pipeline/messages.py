"""Compresses the messages of one context.

`compress_messages` parses them. `MessageCompression` runs the steps: it edits blocks until the budget holds, renders
the result, parses it again to prove its format, its call pairs and its token count, and stores the originals.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from compressor.context.blocks import Block, Priority, SlotSpanFinder, split_into_blocks, split_newest
from compressor.context.budget import Budget, is_fraction, resolve_budget
from compressor.context.formats.base import MessageFormat
from compressor.context.formats.edited_turns import read_edited_turns
from compressor.context.formats.known_history import read_changed, read_context
from compressor.context.model import Context
from compressor.context.refs import compute_ref
from compressor.context.results import CacheDependencies, Result
from compressor.context.running_totals import totals_of
from compressor.errors import BudgetTooSmallError, ContextError, RefError
from compressor.pipeline.arguments import check_list
from compressor.pipeline.block_reports import list_blocks, list_dropped, list_tool_sizes, originals_of
from compressor.pipeline.budget_selector import BudgetSelector, compress_losslessly
from compressor.pipeline.conversation_order import ConversationOrder
from compressor.pipeline.earlier_excerpt import text_finder
from compressor.pipeline.edited_slots import Key
from compressor.pipeline.engine import Engine
from compressor.pipeline.image_plan import NO_IMAGES, ImagePlan
from compressor.pipeline.output_validation import validate
from compressor.pipeline.working_context import WorkingContext
from compressor.scoring.base import Query
from compressor.scoring.query import MAX_PART_CHARS, build_query
from compressor.storage.base import BlobStore
from compressor.storage.circuit_breaker import StoreUnavailableError
from compressor.storage.text_values import put_texts
from compressor.text.few_shot_turns import answers_to_pin, find_few_shot_turns, query_outside_examples
from compressor.text.remembered_spans import Spans, remember_spans
from compressor.text.segmenters import find_pasted_content
from compressor.text.segmenters.few_shot import find_examples
from compressor.tokens import TokenCounter

STORE_LOOKUP_FAILED = (
    "the store is not available now, so it is unknown whether this context was already compressed to a fraction"
)
MAX_RETAINED_BLOCKS = 8  # In ingest mode the newest blocks suffice to tell what the context says already.

#: Characters per token of texts that are dense. A context with fewer characters for each token of its budget fits.
MIN_TOKEN_CHARS = 3

#: JSON is cut by its values, not by stretches of its text, so the token offsets of the text are of no use there.
_JSON = re.compile(r"\s*(?:\{|\[\s*[\[{\"\d])")


_find_pasted = remember_spans(find_pasted_content)
_find_example_lists = remember_spans(lambda text: [(found.start, found.end) for found in find_examples(text)])


def compress_messages(
    messages: Sequence[Any],
    budget: Budget,
    counter: TokenCounter,
    engine: Engine,
    store: Callable[[], BlobStore],
    query: str | None,
    tools: Sequence[Any] | None,
    mode: str,
    system: str | Sequence[Any] | None,
    pinned: Collection[int],
) -> Result:
    """Compresses messages; see `Compressor.compress`."""
    messages = check_list(messages, "messages")
    count = len(messages)
    if wrong := [i for i in pinned if isinstance(i, bool) or not isinstance(i, int) or not -count <= i < count]:
        raise ContextError(f"pinned: there is no message {wrong[0]!r} among {count}")
    system_offset = int(bool(system))
    if system:
        messages = [{"role": "system", "content": system}, *messages]
    try:
        message_format, context = read_context(messages, tools)
    except ContextError as error:
        raise error.with_index_offset(-system_offset) from None
    _encode_ahead(context, budget, counter)
    before = counter.count_context(context)
    limit = resolve_budget(budget, before)
    compression = MessageCompression(
        context,
        message_format,
        counter,
        engine,
        mode,
        query,
        store,
        is_fraction(budget),
        system_offset,
        frozenset(system_offset + i % count for i in pinned),
        examples=True,
    )
    return compression.run(before, limit)


def _encode_ahead(context: Context, budget: Budget, counter: TokenCounter) -> None:
    """Encodes the new texts that may be cut, unless the budget is so ample that nothing will be."""
    known = totals_of(context).counted(counter)
    slots = [slot for turn in context.turns[known:] for slot in turn.slots]
    if not known and isinstance(budget, int) and sum(len(slot.text) for slot in slots) < MIN_TOKEN_CHARS * budget:
        return
    kinds = ("tool_result", "assistant", "thinking")
    counter.encode_ahead([slot.text for slot in slots if slot.kind in kinds and not _JSON.match(slot.text)])


@dataclass
class MessageCompression:
    """Compresses one parsed context.

    Attributes:
        context: The parsed context.
        dialect: The format of its messages.
        counter: Counts tokens as the target model does.
        engine: Gives the scorer and the word pruner.
        mode: "call", "ingest" or "compact"; see `Compressor.compress`.
        query: What the agent is looking for. None reads it from the context.
        store: Returns the store for the originals. It is called only if there is something to store.
        is_fraction: Whether the budget was given as a fraction.
        system_offset: The number of messages at the front that the caller did not give and does not get back.
        pinned: Indices of messages to keep as they are.
        pinned_slots: Message and path of texts to keep as they are.
        find_constraints: Finds stretches of user messages to keep as they are.
        boosted_texts: Texts that are worth having besides the query, with weights.
        image_numbers: The numbers of the images of each message, where they are images of a longer history.
        examples: Whether worked examples in the prompt may be left out.
        warnings: What the caller should know.
        edits: After `run`: the new text of each changed slot.
        removed: After `run`: indices of the messages that were left out whole.
    """

    context: Context
    dialect: MessageFormat
    counter: TokenCounter
    engine: Engine
    mode: str
    query: str | None
    store: Callable[[], BlobStore]
    is_fraction: bool
    system_offset: int = 0
    pinned: frozenset[int] = frozenset()
    pinned_slots: frozenset[Key] = frozenset()
    find_constraints: SlotSpanFinder | None = None
    boosted_texts: tuple[tuple[str, float], ...] = ()
    image_numbers: Mapping[int, Sequence[int]] | None = None
    examples: bool = False
    warnings: list[str] = field(default_factory=list)
    edits: dict[Key, str] = field(default_factory=dict)
    removed: frozenset[int] = frozenset()

    def run(self, before: int, budget: int) -> Result:
        """Returns the result.

        Args:
            before: The tokens of the context as it is.
            budget: The maximum tokens of the result.

        Raises:
            BudgetTooSmallError: What must stay is larger than the budget.
        """
        if before <= budget:
            return self._untouched(before, budget)
        own = _fingerprint(list(self.context.messages)) if self.is_fraction else ""
        is_own = self._is_own_output(own) if own else False
        if is_own:
            return self._untouched(before, before, CacheDependencies((own,)))
        if is_own is None:
            self.warnings.append(STORE_LOOKUP_FAILED)
        # In ingest mode nothing before the newest results changes.
        totals = totals_of(self.context)
        first = totals.outline().last_agent + 1 if self.mode == "ingest" else 0
        blocks = self._blocks(first)
        # A session lists what has left it in an index of its own.
        join_messages = self.mode == "call"
        working = WorkingContext(
            self.context,
            blocks,
            self.counter,
            before,
            text_finder(self.store),
            join_messages,
            lambda: self._blocks(0)[: totals.outline(first).slots] if first else [],
            self._plan_images(blocks, before, budget),
        )
        working.unlock_priority(Priority.ASSISTANT)
        selector = None
        tool_results = [b for b in blocks if b.kind == "tool_result"]
        earlier = totals.result_texts(first)
        if working.count_tokens() > budget and not compress_losslessly(
            working.block_edits, working.count_tokens, budget, tool_results, earlier
        ):
            selector = self._select(working, budget)
        self.warnings += validate(working.block_edits, working.count_tokens, budget)
        working.settle()
        is_fallback = working.images.is_fallback or (selector is not None and bool(selector.units.notes))
        dependencies = CacheDependencies((), own, is_fallback or is_own is None)
        return self._render_and_verify(working, selector, budget, dependencies)

    def _blocks(self, first: int = 0) -> list[Block]:
        """Returns the blocks of the messages from `first` on, which is 0 except in ingest mode."""
        if self.mode == "ingest":
            return split_newest(self.context, first, self.pinned, self.pinned_slots)
        find = self._find_examples if self.examples else None
        turns = find_few_shot_turns(self.context.turns, self.system_offset) if self.examples else {}
        return split_into_blocks(
            self.context,
            self.mode,
            _find_pasted,
            self.pinned | answers_to_pin(self.context.turns, turns),
            self.find_constraints,
            find,
            turns,
            self.pinned_slots,
        )

    def _plan_images(self, blocks: list[Block], before: int, budget: int) -> ImagePlan:
        """Decides what becomes of the images, if there are any: a context of texts alone does not load the code."""
        policy = self.engine.images
        if policy is None or not any(block.kind == "image" for block in blocks):
            return NO_IMAGES
        from compressor.pipeline.image_planner import plan_images

        query, relevance = self._query_of(blocks), self.engine.image_relevance
        numbers = self.image_numbers
        plan = plan_images(self.context, blocks, self.counter, before, budget, policy, query, relevance, numbers)
        self.warnings += plan.warnings
        return plan

    def _query_of(self, blocks: list[Block], retained: tuple[str, ...] = ()) -> Query:
        """Returns what the reader is looking for, given the texts that stay in the context in any case."""
        # In ingest mode every earlier message stays; the last words of agent and user are enough to compare with.
        question = self.query
        if self.mode != "ingest":
            question = question or query_outside_examples(blocks, MAX_PART_CHARS)
        return build_query(self.context, question, retained, self.mode == "compact", self.boosted_texts)

    def _find_examples(self, message: int, text: str) -> Spans:
        """Returns the lists of examples in a system prompt. What users write is never taken for examples."""
        if message < self.system_offset or self.context.turns[message].role != "system":
            return []
        return _find_example_lists(text)

    def _select(self, working: WorkingContext, budget: int) -> BudgetSelector:
        """Keeps what the budget buys, and opens more of the context to cuts as long as it does not fit."""
        # In ingest mode every earlier message stays; the last words of agent and user are enough to compare with.
        if self.mode == "ingest":
            newest = (
                s.text for t in reversed(self.context.turns) for s in reversed(t.slots) if s.kind != "tool_result"
            )
            retained = tuple(islice(newest, MAX_RETAINED_BLOCKS))[::-1]
        else:
            retained = tuple(b.text for b in working.blocks if b.priority > Priority.ASSISTANT)
        query = self._query_of(working.blocks, retained)
        for attempt in ("placeholders", "history", "rounds"):
            if attempt == "history":
                working.unlock_priority(Priority.HISTORY)
            elif attempt == "rounds":
                working.evict_tool_rounds(budget, self.pinned)
            selector = BudgetSelector(
                working.block_edits,
                self.engine.scorer,
                query,
                working.count_tokens() - budget,
                self.engine.word_pruner,
                ConversationOrder.of(working),
            )
            if selector.solve(working.count_tokens, budget):
                self._warn_about_evictions(working)
                self._warn_about_examples(working)
                self.warnings += selector.units.notes
                return selector
        raise BudgetTooSmallError(budget, working.count_tokens(), self._too_small_hint(working))

    def _warn_about_evictions(self, working: WorkingContext) -> None:
        unmarked = working.evicted.difference(*(run.removed for run in working.runs))
        if unmarked:
            self.warnings.append(
                f"{len(unmarked)} old messages were left out whole, because the budget has no tokens for their "
                "placeholders; result.dropped has their refs"
            )
        if working.dropped_example_messages:
            self.warnings.append(
                f"{len(working.dropped_example_messages)} messages of examples were left out whole; result.dropped has "
                "their refs"
            )

    def _warn_about_examples(self, working: WorkingContext) -> None:
        """Says how many examples of which message were left out."""
        counts: dict[int, list[int]] = {}
        for edit in working.block_edits:
            if edit.block.kind == "example" and edit.block.example < 0 and edit.keep is not None:
                count = counts.setdefault(edit.block.slot.message, [0, 0])
                count[0] += int((~edit.keep).sum()) if edit.is_lossy else 0
                count[1] += len(edit.keep)
        for message, (dropped, total) in counts.items():
            if dropped:
                place = message - self.system_offset
                self.warnings.append(
                    f"{dropped} of {total} examples in the system prompt (message {place}) were left out; "
                    "result.dropped has their refs"
                )

    def _too_small_hint(self, working: WorkingContext) -> str:
        """Says what must stay, which part of it is the largest, and what would make that part smaller."""
        if self.mode == "ingest":
            hint = "the messages before the newest tool results"
        else:
            hint = "system prompt, first and last user message, open tool round, and what you pinned"
        sizes = working.message_tokens()
        largest = max(sizes, key=sizes.__getitem__, default=None)
        schemas = self.counter.count_tools(self.context.tools)
        if largest is None or schemas > sizes[largest]:
            return f"{hint}; the tool schemas alone are {schemas} tokens: select_tools makes them fewer"
        turn = self.context.turns[largest]
        name = "the system prompt" if largest < self.system_offset else f"message {largest - self.system_offset}"
        images = sum(self.counter.count_image(slot.image) for slot in turn.slots if slot.image is not None)
        if 2 * images > sizes[largest]:
            remedy = "send a smaller image"
        else:
            remedy = "make its text shorter first, with compress_text or compress_documents"
        return f"{hint}; the largest is {name} ({turn.role}, {sizes[largest]} tokens): {remedy}"

    def _render_and_verify(
        self, working: WorkingContext, selector: BudgetSelector | None, budget: int, dependencies: CacheDependencies
    ) -> Result:
        """Renders the result and parses it anew, which proves its format, its call pairs and its token count."""
        self.edits = working.edits()
        self.removed = frozenset(working.left_out)
        edits = self.edits
        if working.images.edits:
            from compressor.images.drawing import draw_edits

            edits = draw_edits(self.context, edits)
        messages = self.dialect.render(self.context, edits, tuple(sorted(self.removed)))
        after = self._count_rendered(messages, working.before)
        if after > budget:
            raise BudgetTooSmallError(budget, after, "the rendered context is larger than planned")
        stored = self._store_originals(working, messages)
        return Result(
            messages=messages[self.system_offset :],
            tokens_before=working.before,
            tokens_after=after,
            budget=budget,
            warnings=self.warnings,
            is_estimate=self.counter.is_estimate,
            tokenizer=self.counter.name,
            _cache_dependencies=replace(dependencies, requires=stored),
            _dropped=lambda: list_dropped(working, selector),
            _blocks=lambda: list_blocks(working),
            _tool_sizes=lambda: list_tool_sizes(working),
        )

    def _count_rendered(self, messages: list[Any], before: int) -> int:
        """Parses the messages that changed, which proves their format and their call pairs, and returns the new tokens.

        Raises:
            ContextError: A provider would reject the messages.
        """
        if self.mode == "ingest" and self.context.history is not None and self.edits and not self.removed:
            # The caller's next context begins with these messages.
            first_changed = min(message for message, _ in self.edits)
            return self.counter.count_context(read_changed(self.context, messages, first_changed)[1])
        changed = read_edited_turns(self.context, self.dialect, messages, self.edits, self.removed)
        if changed is None:
            is_lenient = any(turn.is_malformed for turn in self.context.turns)
            return self.counter.count_context(self.dialect.parse(messages, self.context.tools, lenient=is_lenient))
        counter, context = self.counter, self.context
        gone = sum(counter.count_known_turn(context, index) for index in {*self.removed, *changed})
        return before - gone + sum(counter.count_turn(turn, context.format_name) for turn in changed.values())

    def _store_originals(self, working: WorkingContext, messages: list[Any]) -> tuple[str, ...]:
        """Stores what the result needs and returns the keys."""
        originals = originals_of(working.block_edits) | {run.ref: run.text for run in working.runs}
        originals |= working.images.originals
        for block in working.blocks if working.evicted else ():
            if block.slot.message in working.evicted and block.text:
                originals[compute_ref(block.text)] = block.text
        if self.is_fraction:
            originals[_fingerprint(messages)] = "compressed"
        if originals:
            put_texts(self.store(), originals)
        return tuple(originals)

    def _is_own_output(self, fingerprint: str) -> bool | None:
        """Returns whether this very context is a result of ours: a fraction of a fraction would cut it again.

        Returns None if a remote store cannot answer now.
        """
        try:
            self.store().get(fingerprint)
        except RefError:
            return False
        except StoreUnavailableError:
            return None
        return True

    def _untouched(self, before: int, budget: int, dependencies: CacheDependencies | None = None) -> Result:
        return Result(
            messages=list(self.context.messages)[self.system_offset :],
            tokens_before=before,
            tokens_after=before,
            budget=budget,
            warnings=self.warnings,
            is_estimate=self.counter.is_estimate,
            tokenizer=self.counter.name,
            _cache_dependencies=dependencies or CacheDependencies(),
        )


def _fingerprint(messages: list[Any]) -> str:
    """Returns the key under which a result is remembered."""
    return "result:" + compute_ref(json.dumps(messages, default=str, sort_keys=True))
