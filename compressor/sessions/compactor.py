"""Compacts the history of a conversation: runs a compaction, archives what leaves the view, and updates the state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from compressor.context.model import Turn
from compressor.context.refs import compute_ref
from compressor.errors import BudgetTooSmallError
from compressor.sessions import archive
from compressor.sessions.compaction import Compaction
from compressor.sessions.compaction_input import CompactionInput
from compressor.sessions.compaction_result import CompactionResult
from compressor.sessions.evicted_rounds import EvictedRound, EvictionIndex, reasoning_text
from compressor.sessions.layers import is_never_compressed
from compressor.sessions.message_history import MessageHistory
from compressor.sessions.open_items import OpenItem, update_open_items
from compressor.sessions.policy_sizes import resolve_target
from compressor.sessions.receipt import Receipt, list_rules, list_things, tally_things
from compressor.sessions.rollback import rollback_on_error
from compressor.storage.text_values import put_texts
from compressor.tokens.billing import cache_rewrite_cost, saved_per_call

MIN_GROWTH_BEYOND = 1.2  # times its last size: what a view above the budget must have grown to before the next one
ASKED_FRACTION = 0.6  # of a view below the target, if somebody asks for a compaction
MAX_PINNED_FRACTION = 0.5  # of the budget; more of it that never changes is worth a warning
PINNED_WARNING = (
    "more than half of the budget is taken by what never changes: the system prompt, tool schemas, pinned messages, "
    "and results of tools marked never_compress"
)
MAX_BEST_EFFORTS = 4  # tries to find the smallest view above the budget


class Compactor:
    """Compacts one history, all of it or nothing."""

    def __init__(self, history: MessageHistory) -> None:
        """Takes the history whose messages and state are changed."""
        self._history, self._state, self._runtime = history, history.state, history.runtime

    def compact(self, best_effort: bool = False, is_asked: bool = False) -> bool:
        """Compacts the history now.

        Args:
            best_effort: Make the smallest possible view if what must stay is larger than the budget.
            is_asked: Somebody asks for it, so a view below the target is compacted, too.

        Returns:
            Whether the view has changed.

        Raises:
            BudgetTooSmallError: The view is over the budget, and what must stay in it is larger than the budget.
        """
        fits = self._history.tokens() <= self._runtime.max_tokens
        target = self.target_tokens
        if is_asked:
            fixed = self._history.head_tokens()
            target = min(target, fixed + int(ASKED_FRACTION * (self._history.tokens() - fixed)))
        try:
            with rollback_on_error(self._history):
                return self._compact(self._runtime.max_tokens, target)
        except BudgetTooSmallError as error:
            if not fits and best_effort:
                return self._compact_beyond(error.needed)
            if not fits:
                raise
            # The view just fits as it is; with an index besides, it would not.
            self._wait_for_growth()
            return False

    def _compact_beyond(self, needed: int) -> bool:
        """Makes the smallest view that a provider accepts, above the budget.

        Until it has grown, it is not made again: that would change the prefix with every call.
        """
        self._runtime.warn(
            f"what must stay in the view is larger than the budget of {self._runtime.max_tokens} tokens, so the "
            "smallest possible view is sent: raise the budget, pin less, or send fewer tool schemas"
        )
        if self._history.tokens() <= MIN_GROWTH_BEYOND * self._state.counters.last_compaction_tokens:
            return False
        for _ in range(MAX_BEST_EFFORTS):
            with suppress(BudgetTooSmallError), rollback_on_error(self._history):
                return self._compact(needed, self.target_tokens)
            needed += needed // 20
        return False

    @property
    def target_tokens(self) -> int:
        """Returns the tokens of a view that a compaction aims at."""
        return resolve_target(self._runtime.sizes.target, self._runtime.max_tokens, self._history.head_tokens())

    def estimate_tokens(self) -> int:
        """Returns the tokens that a compaction would leave: an estimate, not less than the last one left."""
        return max(self.target_tokens, self._state.counters.last_compaction_tokens)

    def warn_about_pinned(self) -> None:
        """Warns once if what the caller keeps from changing takes more than half of the budget.

        Every compaction has less room then, and in the end none helps.
        """
        limit, policy = self._runtime.max_tokens, self._runtime.policy
        if self._history.tokens() <= MAX_PINNED_FRACTION * limit or PINNED_WARNING in self._runtime.warnings:
            return
        pinned = sum(
            record.tokens
            for record, turn in zip(self._state.records, self._history.turns(), strict=True)
            if record.pinned or is_never_compressed(turn, policy)
        )
        if self._history.head_tokens() + pinned > MAX_PINNED_FRACTION * limit:
            self._runtime.warn(PINNED_WARNING)

    def _wait_for_growth(self) -> None:
        """Records that a compaction does not pay before the view has grown."""
        counters = self._state.counters
        counters.last_compaction_tokens, counters.missed_savings = self._history.tokens(), 0.0

    def _compact(self, limit: int, target: int) -> bool:
        state, history = self._state, self._history
        replaced = history.expand_duplicate_notes()
        messages = history.strip_reasoning() if self._runtime.policy.strip_reasoning else history.current_messages()
        result = self._run(messages, limit, target)
        live = dict(zip((record.index for record in state.records), history.messages, strict=True))
        if result and not history.is_reasoning_stripped(
            [live[record.index] for record in result.records], result.records
        ):
            # What ended a turn has left the view, so the turn is the current one and its reasoning must stay.
            messages = history.messages
            result = self._run(messages, limit, target)
        if result is None:
            for i, record in replaced.items():
                state.records[i] = record
            self._wait_for_growth()
            return False
        stripped = {
            i
            for i, record in enumerate(state.records)
            if messages[i] is not history.messages[i] and not record.reasoning_stripped
        }
        reasoning = [reasoning_text(text) for text in history.removed_reasoning(stripped)] if stripped else []
        self._commit(result, reasoning)
        return True

    def _run(self, messages: list[Any], limit: int, target: int) -> CompactionResult | None:
        """Runs a compaction of these forms of the live messages, with or without their signed reasoning."""
        state, history, head = self._state, self._history, self._history.front
        records = []
        for record, message, original in zip(state.records, messages, history.messages, strict=True):
            stripped = message is not original
            if stripped != record.reasoning_stripped:
                # The paths of the edits are no longer right once reasoning is removed or put back.
                record = replace(record, reasoning_stripped=stripped, edits={})
            records.append(record)
        lead = len(head)
        edits = {lead + i: record.edits for i, record in enumerate(records) if record.edits}
        views = self._runtime.render([*head, *messages], edits)[lead:]
        numbers = state.index_numbers
        if len(numbers) != len(state.index_lines):  # a state of an older program
            numbers = [-1] * len(state.index_lines)
        index = EvictionIndex(tuple(state.index_lines), tuple(numbers), state.older_ref, state.older_rounds)
        items = self._scan_open_items()
        given = CompactionInput(
            self._runtime, head, records, messages, views, index, state.expansions, state.summary, items
        )
        return Compaction(given).run(min(target, limit), limit)

    def _scan_open_items(self) -> list[OpenItem]:
        """Searches the messages that are new since the last compaction for what is not resolved."""
        state = self._state
        known = [OpenItem(*item) for item in state.open_items]
        new = [
            (record.index, turn)
            for record, turn in zip(state.records, self._history.turns(), strict=True)
            if record.index >= state.scanned
        ]
        items = update_open_items(known, new)
        state.open_items, state.scanned = [item.to_json() for item in items], state.count
        return items

    def _write_receipt(
        self, before: int, unchanged: int, turns: Sequence[tuple[int, Turn]], result: CompactionResult
    ) -> None:
        """Stores the receipt of a compaction."""
        state, counters, price = self._state, self._state.counters, self._runtime.price
        live = {
            record.index: "\n".join(record.edits.get(slot.path, slot.text) for slot in turn.slots)
            for record, turn in zip(state.records, self._history.turns(), strict=True)
        }
        things = list_things(turns, [OpenItem(*item) for item in state.open_items], result.states)
        refs = {number: evicted.ref for evicted in result.evicted for number in evicted.message_indices}
        departed = (state.receipt or {}).get("departed", {})
        view = "\n".join(live.values())
        tallies, missing, left = tally_things(things, view, live, refs, departed)
        receipt = Receipt(
            counters.compactions,
            state.count,
            before,
            result.tokens,
            self._runtime.max_tokens,
            cache_rewrite_cost(price, max(0, result.tokens - unchanged), prompt_tokens=result.tokens),
            saved_per_call(price, before, result.tokens),
            tallies,
            list_rules(things, view, refs),
            missing,
            left,
        )
        state.receipt = receipt.to_json()
        text = json.dumps(state.receipt, ensure_ascii=False, sort_keys=True)
        put_texts(self._runtime.open_store(), {(ref := compute_ref(text)): text})
        state.receipt_refs = [*state.receipt_refs, ref]

    def _commit(self, result: CompactionResult, reasoning: list[EvictedRound]) -> None:
        state, counters, index = self._state, self._state.counters, result.index
        before = self._history.tokens()
        turns = [(record.index, turn) for record, turn in zip(state.records, self._history.turns(), strict=True)]
        page = archive.archive_rounds(
            self._runtime.open_store(), [*result.evicted, *reasoning], index, result.originals
        )
        if page is not None:
            state.page_refs = [*state.page_refs, page]
        state.index_lines, state.index_numbers = list(index.lines), list(index.numbers)
        state.older_ref, state.older_rounds = index.older_ref, index.older_rounds
        stay = {record.index for record in result.records}
        evicted = [record for record in state.records if record.index not in stay]
        state.last_evicted = max([state.last_evicted, *(record.index for record in evicted)])
        state.evicted_tokens += sum(record.raw_tokens for record in evicted)
        unchanged = self._history.head_tokens()
        for old, new in zip(state.records, result.records, strict=False):
            if (old.index, old.edits, old.reasoning_stripped) != (new.index, new.edits, new.reasoning_stripped):
                break
            unchanged += new.tokens
        live = dict(zip((record.index for record in state.records), self._history.messages, strict=True))
        state.records = result.records
        self._history.messages = [live[record.index] for record in result.records]
        self._history.invalidate_cache()
        self._runtime.warn(*result.warnings)
        state.summary = result.summary
        counters.unchanged_tokens, counters.missed_savings = unchanged, 0.0
        counters.last_compaction_tokens = result.tokens
        counters.compactions += 1
        self._write_receipt(before, unchanged, turns, result)
