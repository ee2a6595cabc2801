"""Compresses tool results once, when their round is complete, against the call that asked for them and the task.

Works on one round at a time and sees nothing else of the history, so that it takes the same time at any length. Folds
what can be folded without loss; cuts what is longer than the policy allows; what the agent has asked back stays whole.
Decides nothing later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compressor.context.model import TextSlot, Turn
from compressor.context.refs import PLACEHOLDER_RE, compute_ref, format_placeholder
from compressor.errors import BudgetTooSmallError
from compressor.sessions.expand_tool import TOOL_NAME
from compressor.sessions.runtime import Edits, SessionRuntime
from compressor.storage.text_values import put_texts
from compressor.text.layout_cache import cached_layout
from compressor.text.lossless import COPY_SAFE_CODECS, encode_losslessly
from compressor.text.lossless.json_tables import encode_parsed
from compressor.text.segmenters.json import JsonLayout

MIN_ENCODE_TOKENS = 100  # tokens below which a fold saves too little to be worth another notation
MAX_ENCODED_FRACTION = 0.9  # a folded text has at most this share of the tokens
MIN_DUPLICATE_TOKENS = 60  # tokens of a result that is told apart from an earlier one by a note


_DUPLICATE_NOTE = "[the same text as the result of call "


def is_duplicate_note(text: str) -> bool:
    """Whether a text stands for another result in the view."""
    return text.startswith(_DUPLICATE_NOTE)


def ingest_tool_results(
    runtime: SessionRuntime,
    messages: Sequence[Any],
    results: Sequence[int],
    expansions: Sequence[str],
    earlier: Mapping[str, str],
) -> dict[int, Edits]:
    """The edits of the tool results at the indices `results` of `messages`: the task, what led to the round, and the
    round with all its results. `earlier`: texts of results that stand in the view -> the ids of their calls."""
    _, context = runtime.parse(messages)
    out: dict[int, Edits] = {}
    for index in results:
        turn = context.turns[index]
        edits: Edits = {}
        excess = 0
        for slot in turn.slots:
            if slot.kind != "tool_result" or not slot.editable or PLACEHOLDER_RE.search(slot.text) or slot.name == TOOL_NAME:
                continue
            rule = runtime.policy.rule_for(slot.name)
            if rule.never_compress:
                edits, excess = {}, 0  # a message is pinned as a whole
                break
            text, over = _encode(runtime, slot, earlier)
            excess += over
            if text is not None:
                edits[slot.path] = text
        if excess:
            edits = _shorten(runtime, messages, turn, excess, expansions) or edits
        if edits:
            out[index] = edits
    return out


def _encode(runtime: SessionRuntime, slot: TextSlot, earlier: Mapping[str, str]) -> tuple[str | None, int]:
    """A shorter text that says the same, if there is one, and by how many tokens it is still over what it may have."""
    tokens = runtime.counter.count(slot.text)
    if tokens >= MIN_DUPLICATE_TOKENS and slot.text in earlier:
        put_texts(runtime.open_store(), {(ref := compute_ref(slot.text)): slot.text})
        return f"{_DUPLICATE_NOTE}{earlier[slot.text]}] {format_placeholder(ref)}", 0
    folded, after = None, tokens
    if tokens >= MIN_ENCODE_TOKENS:
        folded = lossless(slot.text)
        if folded is not None and (short := runtime.counter.count(folded)) <= MAX_ENCODED_FRACTION * tokens:
            after = short
        else:
            folded = None
    most = max_result_tokens(runtime, slot, tokens)
    return folded, tokens - most if after > most else 0


def max_result_tokens(runtime: SessionRuntime, slot: TextSlot, tokens: int) -> int:
    """How many tokens a result of that many may have."""
    policy, rule = runtime.policy, runtime.policy.rule_for(slot.name)
    if rule.max_tokens is not None:
        return min(tokens, rule.max_tokens)
    return min(
        tokens,
        policy.tool_result_max_tokens,
        max(policy.tool_result_min_tokens, int(policy.tool_result_keep_fraction * tokens)),
    )


def lossless(text: str) -> str | None:
    """A text's own lossless form that still holds every path and line number for the agent to copy; None if it has none
    that is shorter. Needs no other text."""
    layout = cached_layout(text, "tool_result", "")
    if isinstance(layout, JsonLayout):
        return encode_parsed(text, layout.parsed)
    folded, names = encode_losslessly(text, folds=COPY_SAFE_CODECS)
    return folded if names else None


def _shorten(runtime: SessionRuntime, messages: Sequence[Any], turn: Turn, excess: int, expansions: Sequence[str]) -> Edits | None:
    """The edits of one message that is `excess` tokens too long; None if it cannot be cut."""
    others = frozenset(i for i in range(len(messages)) if i != turn.index)
    flow = runtime.prepare_compression(messages, "ingest", others, expansions)
    before = runtime.counter.count_context(flow.context)
    try:
        flow.run(before, before - excess)
    except BudgetTooSmallError:
        return None
    runtime.warn(*flow.warnings)
    return {path: text for (index, path), text in flow.edits.items() if index == turn.index}
