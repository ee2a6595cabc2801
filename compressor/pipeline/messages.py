"""Compresses the messages of one context: the flow from parsed turns to a proven result.

Leaves choosing to `plan`, counting to `board`, writing to the dialect.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from compressor.context.blocks import HISTORY, SPEECH, Block, FindIn, blocks_of
from compressor.context.formats.base import Dialect
from compressor.context.model import Context
from compressor.context.refs import ref_of
from compressor.context.results import Ground, Result
from compressor.errors import BudgetTooSmall, RefError
from compressor.pipeline.block_reports import list_blocks, list_dropped
from compressor.pipeline.budget_selector import Selection, fold_to_fit
from compressor.pipeline.engine import Choice
from compressor.pipeline.output_validation import check
from compressor.pipeline.working_context import Board, Key
from compressor.scoring.base import Scorer
from compressor.scoring.query import query_of
from compressor.storage.base import Store
from compressor.storage.circuit_breaker import Unavailable
from compressor.storage.text_values import put_texts
from compressor.text.few_shot_turns import asked_besides, example_turns
from compressor.text.segmenters import find_material
from compressor.text.segmenters.few_shot import find_examples
from compressor.tokens import Counter

UNSURE = "the store is not available now: whether this context is a result of ours could not be looked up"
RECENT = 8  # blocks whose words count as known in ingest mode


@dataclass
class Flow:
    """One call of `Compressor.compress`. `store` opens the store, `lead` messages at the front are not the caller's
    and not given back, `share` says that the budget was a share. `pinned` messages stay as they are, so do users'
    words that `find_constraints` finds; `hints` are texts (with weights) that are worth having besides the query.
    `examples`: worked examples in the prompt may be left out, too.

    After `run`: `edits` and `removed`, what was done to which slot, and which messages were left out whole."""

    context: Context
    dialect: Dialect
    counter: Counter
    choice: Choice
    mode: str
    query: str | None
    store: Callable[[], Store]
    share: bool
    lead: int = 0
    pinned: frozenset[int] = frozenset()
    find_constraints: FindIn | None = None
    hints: tuple[tuple[str, float], ...] = ()
    examples: bool = False
    warnings: list[str] = field(default_factory=list)
    edits: dict[Key, str] = field(default_factory=dict)
    removed: frozenset[int] = frozenset()

    def run(self, before: int, budget: int) -> Result:
        """The result. The store is asked for only when there is something to keep."""
        if before <= budget:
            return self._untouched(before, budget)
        own = _fingerprint(list(self.context.messages)) if self.share else ""
        ours = self._has(own) if own else False
        if ours:
            return self._untouched(before, before, Ground((own,)))
        scorer, self.warnings = self.choice.of(before, budget, self.share, self._frozen())
        if ours is None:
            self.warnings.append(UNSURE)
        if scorer is None:
            return self._untouched(before, before)
        blocks = self._blocks()
        board = Board(self.context, blocks, self.counter, before)
        board.open(SPEECH)
        selection = None
        outputs = [b for b in blocks if b.kind == "tool_result"]
        if not fold_to_fit(board.drafts, board.measure, budget, outputs):
            selection = self._select(board, budget, scorer)
        self.warnings += check(board.drafts, board.measure, budget)
        notes = selection is not None and bool(selection.units.notes)
        return self._proven(board, selection, budget, Ground((), own, notes or ours is None))

    def _blocks(self) -> list[Block]:
        find = self._find_examples if self.examples else None
        turns = example_turns(self.context.turns, self.lead) if self.examples else {}
        return blocks_of(self.context, self.mode, find_material, self.pinned, self.find_constraints, find, turns)

    def _find_examples(self, message: int, text: str) -> list[tuple[int, int]]:
        return [(found.start, found.end) for found in find_examples(text)] if message >= self.lead else []

    def _frozen(self) -> int:
        """Tokens at the start whose bytes stay as they are: in `ingest` mode all but the newest tool results."""
        if self.mode != "ingest" or self.choice.gate is None:
            return 0
        last = max((t.index for t in self.context.turns if t.role == "assistant"), default=-1)
        return sum(self.counter.turn(t, self.context.dialect) for t in self.context.turns if t.index <= last)

    def _select(self, board: Board, budget: int, scorer: Scorer) -> Selection:
        # In ingest mode everything before is known; what the agent and the user said last is enough to tell.
        fixed = [
            b.text for b in board.blocks if b.level > SPEECH and (self.mode != "ingest" or b.kind != "tool_result")
        ]
        known = tuple(fixed[-RECENT:] if self.mode == "ingest" else fixed)
        asked = self.query or asked_besides(board.blocks)
        query = query_of(self.context, asked, known, self.mode == "compact", self.hints)
        for attempt in ("marks", "history", "rounds"):
            if attempt == "history":
                board.open(HISTORY)
            elif attempt == "rounds":
                board.remove_rounds(budget, self.pinned)
            selection = Selection(board.drafts, scorer, query, board.measure() - budget, self.choice.words)
            if selection.fit(board.measure, budget):
                if board.removed:
                    self.warnings.append(
                        f"{len(board.removed)} old messages were left out whole, because the budget has no room for "
                        "their marks; result.dropped has their refs"
                    )
                if board.gone:
                    self.warnings.append(
                        f"{len(board.gone)} messages of examples were left out whole; result.dropped has their refs"
                    )
                self.warnings += selection.units.notes
                return selection
        what = (
            "the messages before the newest tool results"
            if self.mode == "ingest"
            else ("system prompt, first and last user message, open tool round, and what you pinned")
        )
        raise BudgetTooSmall(budget, board.measure(), what)

    def _proven(self, board: Board, selection: Selection | None, budget: int, ground: Ground) -> Result:
        """Renders, and reads what was rendered again from scratch: that checks syntax of the dialect, pairs, count."""
        self.edits, self.removed = board.edits(), frozenset(board.removed | board.gone)
        messages = self.dialect.render(self.context, self.edits, tuple(sorted(self.removed)))
        after = self.counter.context(self.dialect.parse(messages, self.context.tools))
        if after > budget:
            raise BudgetTooSmall(budget, after, "the rendered context is larger than planned")
        needs = self._remember(board, messages)
        return Result(
            messages=messages[self.lead :],
            tokens_before=board.before,
            tokens_after=after,
            budget=budget,
            warnings=self.warnings,
            estimate=self.counter.estimate,
            tokenizer=self.counter.name,
            _ground=replace(ground, needs=needs),
            _dropped=lambda: list_dropped(board, selection),
            _blocks=lambda: list_blocks(board),
        )

    def _remember(self, board: Board, messages: list[Any]) -> tuple[str, ...]:
        """Stores what the result needs; under which keys."""
        originals = {d.ref: d.original for d in board.drafts if d.cut}
        for block in board.blocks:
            if block.slot.message in board.removed and block.text:
                originals[ref_of(block.text)] = block.text
        if self.share:
            originals[_fingerprint(messages)] = "compressed"
        if originals:
            put_texts(self.store(), originals)
        return tuple(originals)

    def _has(self, fingerprint: str) -> bool | None:
        """Whether this very context is a result of ours: taking a share of it twice would change it. None: a remote
        store cannot say so now."""
        try:
            self.store().get(fingerprint)
        except RefError:
            return False
        except Unavailable:
            return None
        return True

    def _untouched(self, before: int, budget: int, ground: Ground | None = None) -> Result:
        return Result(
            messages=list(self.context.messages)[self.lead :],
            tokens_before=before,
            tokens_after=before,
            budget=budget,
            warnings=self.warnings,
            estimate=self.counter.estimate,
            tokenizer=self.counter.name,
            _ground=ground or Ground(),
        )


def _fingerprint(messages: list[Any]) -> str:
    """The key under which a result is remembered."""
    return "result:" + ref_of(json.dumps(messages, default=str, sort_keys=True))
