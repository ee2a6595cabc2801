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
from compressor.sessions.expand_tool import NAME
from compressor.sessions.runtime import Edits, SessionRuntime
from compressor.storage.text_values import put_texts
from compressor.text.layout_cache import cached_layout
from compressor.text.lossless import COPY_SAFE_CODECS, encode_losslessly
from compressor.text.lossless.json_tables import encode_parsed
from compressor.text.segmenters.json import JsonLayout

FOLD_FROM = 100  # tokens below which a fold saves too little to be worth another notation
FOLD_GAIN = 0.9  # a folded text has at most this share of the tokens
SAME_FROM = 60  # tokens of a result that is told apart from an earlier one by a note


_SAME = "[the same text as the result of call "


def is_duplicate_note(text: str) -> bool:
    """Whether a text stands for another result in the view."""
    return text.startswith(_SAME)


def ingest_tool_results(
    kit: SessionRuntime,
    messages: Sequence[Any],
    results: Sequence[int],
    regrets: Sequence[str],
    earlier: Mapping[str, str],
) -> dict[int, Edits]:
    """The edits of the tool results at the indices `results` of `messages`: the task, what led to the round, and the
    round with all its results. `earlier`: texts of results that stand in the view -> the ids of their calls."""
    _, context = kit.parse(messages)
    out: dict[int, Edits] = {}
    for index in results:
        turn = context.turns[index]
        edits: Edits = {}
        excess = 0
        for slot in turn.slots:
            if slot.kind != "tool_result" or not slot.editable or PLACEHOLDER_RE.search(slot.text) or slot.name == NAME:
                continue
            rule = kit.policy.rule_for(slot.name)
            if rule.never_compress:
                edits, excess = {}, 0  # a message is pinned as a whole
                break
            text, over = _small(kit, slot, earlier)
            excess += over
            if text is not None:
                edits[slot.path] = text
        if excess:
            edits = _cut(kit, messages, turn, excess, regrets) or edits
        if edits:
            out[index] = edits
    return out


def _small(kit: SessionRuntime, slot: TextSlot, earlier: Mapping[str, str]) -> tuple[str | None, int]:
    """A shorter text that says the same, if there is one, and by how many tokens it is still over what it may have."""
    tokens = kit.counter.count(slot.text)
    if tokens >= SAME_FROM and slot.text in earlier:
        put_texts(kit.store(), {(ref := compute_ref(slot.text)): slot.text})
        return f"{_SAME}{earlier[slot.text]}] {format_placeholder(ref)}", 0
    folded, after = None, tokens
    if tokens >= FOLD_FROM:
        folded = lossless(slot.text)
        if folded is not None and (short := kit.counter.count(folded)) <= FOLD_GAIN * tokens:
            after = short
        else:
            folded = None
    most = max_result_tokens(kit, slot, tokens)
    return folded, tokens - most if after > most else 0


def max_result_tokens(kit: SessionRuntime, slot: TextSlot, tokens: int) -> int:
    """How many tokens a result of that many may have."""
    policy, rule = kit.policy, kit.policy.rule_for(slot.name)
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
    folded, names = encode_losslessly(text, codecs=COPY_SAFE_CODECS)
    return folded if names else None


def _cut(kit: SessionRuntime, messages: Sequence[Any], turn: Turn, excess: int, regrets: Sequence[str]) -> Edits | None:
    """The edits of one message that is `excess` tokens too long; None if it cannot be cut."""
    others = frozenset(i for i in range(len(messages)) if i != turn.index)
    flow = kit.prepare_compression(messages, "ingest", others, regrets)
    before = kit.counter.count_context(flow.context)
    try:
        flow.run(before, before - excess)
    except BudgetTooSmallError:
        return None
    kit.warn(*flow.warnings)
    return {path: text for (index, path), text in flow.edits.items() if index == turn.index}
