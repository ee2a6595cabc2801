"""Keeps a conversation's counters true where its view was not sent: the caller's own history was, or nothing.

The provider's cache then holds what was sent before, so the next view continues the last view that was really sent.
"""

from __future__ import annotations

from dataclasses import replace

from compressor.sessions import compaction_trigger
from compressor.sessions.message_history import MessageHistory
from compressor.sessions.state import SessionCounters
from compressor.tokens.pricing import Price


def replace_last_call(
    history: MessageHistory, before: SessionCounters, price: Price, reference: Price, tokens_after: int, now: float
) -> None:
    """Counts the caller's whole history as the last prompt, instead of the view.

    Args:
        history: The messages.
        before: The counters as they were before the view was counted.
        price: The model's prices.
        reference: The prices that decide when to compact.
        tokens_after: Tokens that a compaction would leave, about.
        now: The time in seconds.
    """
    counters = history.state.counters = replace(before)
    cache_expired = before.last_call_time > 0 and now - before.last_call_time > reference.cache_ttl_seconds
    known = before.actual_last if before.unchanged_tokens < 0 else min(before.unchanged_tokens, before.actual_last)
    was_raw = before.calls > 0 and before.actual_last == before.baseline_last
    counters.unchanged_tokens = known if was_raw else min(known, _tokens_before_first_edit(history))
    raw, is_expansion = history.raw_tokens(), history.ends_with_expansion()
    compaction_trigger.record_call(price, counters, raw, raw, tokens_after, cache_expired, is_expansion, reference)
    counters.unchanged_tokens = known
    counters.message_count, counters.last_call_time = history.state.count, now


def note_raw_prompt(history: MessageHistory, sent_at: float) -> None:
    """Notes that the provider has seen the whole history as it is, in calls that were not counted."""
    counters = history.state.counters
    counters.baseline_last = counters.actual_last = history.raw_tokens()
    counters.unchanged_tokens = -1
    counters.message_count, counters.last_call_time = history.state.count, sent_at


def _tokens_before_first_edit(history: MessageHistory) -> int:
    """Returns the tokens at the start of the view that are the same in the caller's history."""
    tokens = history.head_tokens()
    for number, record in enumerate(history.state.records):
        if record.index != number or record.edits or record.reasoning_stripped or record.holds_index:
            break
        tokens += record.tokens
    return tokens
