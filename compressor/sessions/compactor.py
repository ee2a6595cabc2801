"""Compacts the history of a conversation: runs a compaction, archives what leaves the view, and updates the state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from compressor.errors import BudgetTooSmallError
from compressor.sessions import archive
from compressor.sessions.compaction import Compaction, CompactionResult
from compressor.sessions.evicted_rounds import EvictedRound, EvictionIndex, reasoning_text
from compressor.sessions.message_history import MessageHistory
from compressor.sessions.rollback import rollback_on_error

MAX_TARGET_FRACTION = 0.5  # of the budget: a compaction aims no higher


class Compactor:
    """Compacts one history, all of it or nothing."""

    def __init__(self, history: MessageHistory) -> None:
        """Takes the history whose messages and state are changed."""
        self._history, self._state, self._runtime = history, history.state, history.runtime

    def compact(self) -> bool:
        """Compacts the history now.

        Returns:
            Whether the view has changed.

        Raises:
            BudgetTooSmallError: The view is over the budget, and what must stay in it is larger than the budget.
        """
        fits = self._history.tokens() <= self._runtime.max_tokens
        try:
            with rollback_on_error(self._history):
                return self._compact()
        except BudgetTooSmallError:
            if not fits:
                raise
            # The view just fits as it is; with an index besides, it would not.
            self._wait_for_growth()
            return False

    @property
    def target_tokens(self) -> int:
        """Returns the tokens that a compaction aims at, besides what always stays."""
        limit, fixed = self._runtime.max_tokens, self._history.fixed_tokens()
        return max(
            1, min(self._runtime.policy.compaction_target_tokens, int(MAX_TARGET_FRACTION * limit), limit - fixed)
        )

    def estimate_tokens(self) -> int:
        """Returns the tokens that a compaction would leave: an estimate, not less than the last one left."""
        return max(self._history.fixed_tokens() + self.target_tokens, self._state.counters.last_compaction_tokens)

    def _wait_for_growth(self) -> None:
        """Records that a compaction does not pay before the view has grown."""
        counters = self._state.counters
        counters.last_compaction_tokens, counters.missed_savings = self._history.tokens(), 0.0

    def _compact(self) -> bool:
        state, history = self._state, self._history
        replaced = history.expand_duplicate_notes()
        messages = history.strip_reasoning() if self._runtime.policy.strip_reasoning else history.current_messages()
        result = self._run(messages)
        live = dict(zip((record.index for record in state.records), history.messages, strict=True))
        if result and not history.is_reasoning_stripped(
            [live[record.index] for record in result.records], result.records
        ):
            # What ended a turn has left the view, so the turn is the current one and its reasoning must stay.
            messages = history.messages
            result = self._run(messages)
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

    def _run(self, messages: list[Any]) -> CompactionResult | None:
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
        index = EvictionIndex(tuple(state.index_lines), state.older_ref, state.older_rounds)
        compaction = Compaction(self._runtime, head, records, messages, views, index, state.expansions, state.summary)
        return compaction.run(self.target_tokens, self._runtime.max_tokens)

    def _commit(self, result: CompactionResult, reasoning: list[EvictedRound]) -> None:
        state, counters, index = self._state, self._state.counters, result.index
        page = archive.archive_rounds(
            self._runtime.open_store(), [*result.evicted, *reasoning], index, result.originals
        )
        if page is not None:
            state.page_refs = [*state.page_refs, page]
        state.index_lines, state.older_ref, state.older_rounds = list(index.lines), index.older_ref, index.older_rounds
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
