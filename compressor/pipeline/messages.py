"""Compresses the messages of one context: the flow from parsed turns to a proven result.

Leaves choosing to `plan`, counting to `board`, writing to the dialect.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from compressor.context.blocks import Block, Priority, SlotSpanFinder, split_into_blocks
from compressor.context.formats.base import MessageFormat
from compressor.context.model import Context
from compressor.context.refs import compute_ref
from compressor.context.results import CacheDependencies, Result
from compressor.errors import BudgetTooSmallError, RefError
from compressor.pipeline.block_reports import list_blocks, list_dropped
from compressor.pipeline.budget_selector import BudgetSelector, compress_losslessly
from compressor.pipeline.engine import Engine
from compressor.pipeline.output_validation import validate
from compressor.pipeline.working_context import Key, WorkingContext
from compressor.scoring.base import Scorer
from compressor.scoring.query import RECENT_CHARS, build_query
from compressor.storage.base import BlobStore
from compressor.storage.circuit_breaker import StoreUnavailableError
from compressor.storage.text_values import put_texts
from compressor.text.few_shot_turns import find_few_shot_turns, query_outside_examples
from compressor.text.segmenters import find_pasted_content
from compressor.text.segmenters.few_shot import find_examples
from compressor.tokens import TokenCounter

UNSURE = "the store is not available now: whether this context is a result of ours could not be looked up"
RECENT = 8  # blocks whose words count as known in ingest mode


@dataclass
class MessageCompression:
    """One call of `Compressor.compress`. `store` opens the store, `lead` messages at the front are not the caller's
    and not given back, `share` says that the budget was a share. `pinned` messages stay as they are, so do users'
    words that `find_constraints` finds; `hints` are texts (with weights) that are worth having besides the query.
    `examples`: worked examples in the prompt may be left out, too.

    After `run`: `edits` and `removed`, what was done to which slot, and which messages were left out whole."""

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
    find_constraints: SlotSpanFinder | None = None
    boosted_texts: tuple[tuple[str, float], ...] = ()
    examples: bool = False
    warnings: list[str] = field(default_factory=list)
    edits: dict[Key, str] = field(default_factory=dict)
    removed: frozenset[int] = frozenset()

    def run(self, before: int, budget: int) -> Result:
        """The result. The store is asked for only when there is something to keep."""
        if before <= budget:
            return self._untouched(before, budget)
        own = _fingerprint(list(self.context.messages)) if self.is_fraction else ""
        ours = self._is_own_output(own) if own else False
        if ours:
            return self._untouched(before, before, CacheDependencies((own,)))
        scorer, self.warnings = self.engine.pick_scorer(before, budget, self.is_fraction, self._cached_prefix_tokens())
        if ours is None:
            self.warnings.append(UNSURE)
        if scorer is None:
            return self._untouched(before, before)
        blocks = self._blocks()
        board = WorkingContext(self.context, blocks, self.counter, before)
        board.unlock(Priority.ASSISTANT)
        selection = None
        outputs = [b for b in blocks if b.kind == "tool_result"]
        if not compress_losslessly(board.drafts, board.count_tokens, budget, outputs):
            selection = self._select(board, budget, scorer)
        self.warnings += validate(board.drafts, board.count_tokens, budget)
        notes = selection is not None and bool(selection.units.notes)
        return self._render_and_verify(board, selection, budget, CacheDependencies((), own, notes or ours is None))

    def _blocks(self) -> list[Block]:
        find = self._find_examples if self.examples else None
        turns = find_few_shot_turns(self.context.turns, self.system_offset) if self.examples else {}
        return split_into_blocks(
            self.context, self.mode, find_pasted_content, self.pinned, self.find_constraints, find, turns
        )

    def _find_examples(self, message: int, text: str) -> list[tuple[int, int]]:
        return [(found.start, found.end) for found in find_examples(text)] if message >= self.system_offset else []

    def _cached_prefix_tokens(self) -> int:
        """Tokens at the start whose bytes stay as they are: in `ingest` mode all but the newest tool results."""
        if self.mode != "ingest" or self.engine.gate is None:
            return 0
        last = max((t.index for t in self.context.turns if t.role == "assistant"), default=-1)
        return sum(self.counter.count_turn(t, self.context.format_name) for t in self.context.turns if t.index <= last)

    def _select(self, board: WorkingContext, budget: int, scorer: Scorer) -> BudgetSelector:
        # In ingest mode everything before is known; what the agent and the user said last is enough to tell.
        fixed = [
            b.text
            for b in board.blocks
            if b.priority > Priority.ASSISTANT and (self.mode != "ingest" or b.kind != "tool_result")
        ]
        known = tuple(fixed[-RECENT:] if self.mode == "ingest" else fixed)
        asked = self.query or query_outside_examples(board.blocks, RECENT_CHARS)
        query = build_query(self.context, asked, known, self.mode == "compact", self.boosted_texts)
        for attempt in ("marks", "history", "rounds"):
            if attempt == "history":
                board.unlock(Priority.HISTORY)
            elif attempt == "rounds":
                board.evict_tool_rounds(budget, self.pinned)
            selection = BudgetSelector(
                board.drafts, scorer, query, board.count_tokens() - budget, self.engine.word_pruner
            )
            if selection.solve(board.count_tokens, budget):
                if board.removed:
                    self.warnings.append(
                        f"{len(board.removed)} old messages were left out whole, because the budget has no room for "
                        "their marks; result.dropped has their refs"
                    )
                if board.dropped_example_messages:
                    self.warnings.append(
                        f"{len(board.dropped_example_messages)} messages of examples were left out whole; result.dropped has their refs"
                    )
                self.warnings += selection.units.notes
                return selection
        what = (
            "the messages before the newest tool results"
            if self.mode == "ingest"
            else ("system prompt, first and last user message, open tool round, and what you pinned")
        )
        raise BudgetTooSmallError(budget, board.count_tokens(), what)

    def _render_and_verify(
        self, board: WorkingContext, selection: BudgetSelector | None, budget: int, ground: CacheDependencies
    ) -> Result:
        """Renders, and reads what was rendered again from scratch: that checks syntax of the dialect, pairs, count."""
        self.edits, self.removed = board.edits(), frozenset(board.removed | board.dropped_example_messages)
        messages = self.dialect.render(self.context, self.edits, tuple(sorted(self.removed)))
        after = self.counter.count_context(self.dialect.parse(messages, self.context.tools))
        if after > budget:
            raise BudgetTooSmallError(budget, after, "the rendered context is larger than planned")
        needs = self._store_originals(board, messages)
        return Result(
            messages=messages[self.system_offset :],
            tokens_before=board.before,
            tokens_after=after,
            budget=budget,
            warnings=self.warnings,
            is_estimate=self.counter.is_estimate,
            tokenizer=self.counter.name,
            _cache_dependencies=replace(ground, requires=needs),
            _dropped=lambda: list_dropped(board, selection),
            _blocks=lambda: list_blocks(board),
        )

    def _store_originals(self, board: WorkingContext, messages: list[Any]) -> tuple[str, ...]:
        """Stores what the result needs; under which keys."""
        originals = {d.ref: d.original for d in board.drafts if d.is_lossy}
        for block in board.blocks:
            if block.slot.message in board.removed and block.text:
                originals[compute_ref(block.text)] = block.text
        if self.is_fraction:
            originals[_fingerprint(messages)] = "compressed"
        if originals:
            put_texts(self.store(), originals)
        return tuple(originals)

    def _is_own_output(self, fingerprint: str) -> bool | None:
        """Whether this very context is a result of ours: taking a share of it twice would change it. None: a remote
        store cannot say so now."""
        try:
            self.store().get(fingerprint)
        except RefError:
            return False
        except StoreUnavailableError:
            return None
        return True

    def _untouched(self, before: int, budget: int, ground: CacheDependencies | None = None) -> Result:
        return Result(
            messages=list(self.context.messages)[self.system_offset :],
            tokens_before=before,
            tokens_after=before,
            budget=budget,
            warnings=self.warnings,
            is_estimate=self.counter.is_estimate,
            tokenizer=self.counter.name,
            _cache_dependencies=ground or CacheDependencies(),
        )


def _fingerprint(messages: list[Any]) -> str:
    """The key under which a result is remembered."""
    return "result:" + compute_ref(json.dumps(messages, default=str, sort_keys=True))
