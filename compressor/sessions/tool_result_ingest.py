"""Compresses tool results once, when their tool round is complete, for the call that requested them and the task.

It works on one round at a time and sees nothing else of the history, so it takes the same time at any length. Results
are encoded losslessly where that is shorter; results that are longer than the policy allows are cut; what the agent has
expanded stays whole. No later step changes this decision before a compaction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from compressor.context.formats.json_values import part_json
from compressor.context.image_edits import edit_note
from compressor.context.model import TextSlot, Turn
from compressor.context.refs import compute_ref, format_placeholder
from compressor.errors import BudgetTooSmallError
from compressor.pipeline.earlier_excerpt import is_own_excerpt, text_finder
from compressor.sessions.context_tools import CONTEXT_TOOL_NAMES
from compressor.sessions.runtime import Edits, SessionRuntime
from compressor.storage.text_values import put_texts
from compressor.text.layout_cache import cached_layout
from compressor.text.lossless import COPY_SAFE_CODECS, encode_losslessly
from compressor.text.segmenters.base import is_encodable

MIN_ENCODE_TOKENS = 100  # a lossless encoding of less saves too little to be worth another notation
MAX_ENCODED_FRACTION = 0.9  # of the tokens: a lossless encoding that leaves more is not used
MIN_DUPLICATE_TOKENS = 60  # a result of less is repeated rather than replaced by a note about an earlier one

_DUPLICATE_NOTE = "[the same text as "
_DUPLICATE_IMAGE = "[the same image as in "


#: What the note about an image begins with that resembles another one in the view, whose number follows.
IMAGE_REFERENCE = r"\[image \d+: (?:as|the same as) image "
_IMAGE_REFERENCE = re.compile(IMAGE_REFERENCE)


def refers_to_other(text: str) -> bool:
    """Returns whether an edit is a note that stands for another result in the view, or says what differs from it."""
    note = edit_note(text)
    return note.startswith((_DUPLICATE_NOTE, _DUPLICATE_IMAGE)) or _IMAGE_REFERENCE.match(note) is not None


def ingest_tool_results(
    runtime: SessionRuntime,
    messages: Sequence[Any],
    results: Sequence[int],
    expansions: Sequence[str],
    earlier: Mapping[str, str],
) -> dict[int, Edits]:
    """Compresses the tool results of one round.

    Args:
        runtime: The engine, counter and policy.
        messages: The task, what led to the round, and the round with all its results.
        results: The indices of the tool results in `messages`.
        expansions: What the agent has expanded.
        earlier: Texts, and refs of images, of results that stand in the view, with the ids of their calls.

    Returns:
        The edits, by index of the message.
    """
    _, context = runtime.parse(messages)
    out: dict[int, Edits] = {}
    find_text = text_finder(runtime.open_store)
    for index in results:
        turn = context.turns[index]
        edits: Edits = {}
        excess = 0
        for slot in turn.slots:
            if slot.image is not None and slot.editable and turn.result_call_ids:
                if note := _repeated_image(runtime, slot, part_json(messages[index], slot.path), earlier):
                    edits[slot.path] = note
                continue
            is_result = slot.kind == "tool_result" and slot.editable
            if not is_result or slot.name in CONTEXT_TOOL_NAMES or is_own_excerpt(slot.text, find_text):
                continue
            rule = runtime.policy.rule_for(slot.name)
            if rule.never_compress:
                edits, excess = {}, 0  # a message is kept as a whole
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


def _place(slot: TextSlot, call_id: str) -> str:
    """Returns the words for the result of an earlier call. Some providers use an id again in every round."""
    if call_id and call_id != slot.call_id:
        return f"the result of call {call_id}"
    return f"an earlier result of {slot.name}" if slot.name else "an earlier result"


def _repeated_image(runtime: SessionRuntime, slot: TextSlot, source: str, earlier: Mapping[str, str]) -> str | None:
    """Returns a note for an image that stands in the view already, or None."""
    ref = compute_ref(source)
    if ref not in earlier:
        return None
    put_texts(runtime.open_store(), {ref: source})
    return f"{_DUPLICATE_IMAGE}{_place(slot, earlier[ref])}] {format_placeholder(ref)}"


def _encode(runtime: SessionRuntime, slot: TextSlot, earlier: Mapping[str, str]) -> tuple[str | None, int]:
    """Returns a shorter text that says the same, or None, and by how many tokens that is over the maximum."""
    tokens = runtime.counter.count(slot.text)
    if tokens >= MIN_DUPLICATE_TOKENS and slot.text in earlier:
        put_texts(runtime.open_store(), {(ref := compute_ref(slot.text)): slot.text})
        return f"{_DUPLICATE_NOTE}{_place(slot, earlier[slot.text])}] {format_placeholder(ref)}", 0
    encoded, after = None, tokens
    if tokens >= MIN_ENCODE_TOKENS:
        encoded = lossless(slot.text)
        if encoded is not None and (short := runtime.counter.count(encoded)) <= MAX_ENCODED_FRACTION * tokens:
            after = short
        else:
            encoded = None
    max_tokens = max_result_tokens(runtime, slot, tokens)
    return encoded, tokens - max_tokens if after > max_tokens else 0


def max_result_tokens(runtime: SessionRuntime, slot: TextSlot, tokens: int) -> int:
    """Returns how many tokens a result of `tokens` may keep."""
    policy, rule = runtime.policy, runtime.policy.rule_for(slot.name)
    if rule.max_tokens is not None:
        return min(tokens, rule.max_tokens)
    return min(
        tokens,
        policy.tool_result_max_tokens,
        max(policy.tool_result_min_tokens, int(policy.tool_result_keep_fraction * tokens)),
    )


def lossless(text: str) -> str | None:
    """Returns a shorter lossless form of a text that still has every path and line number for the agent to copy.

    It can be read without any other text. None if there is no shorter form.
    """
    layout = cached_layout(text, "tool_result", "")
    if is_encodable(layout):
        return layout.encode_exactly()
    encoded, names = encode_losslessly(text, codecs=COPY_SAFE_CODECS)
    return encoded if names else None


def _shorten(
    runtime: SessionRuntime, messages: Sequence[Any], turn: Turn, excess: int, expansions: Sequence[str]
) -> Edits | None:
    """Returns the edits of one message that is `excess` tokens too long, or None if it cannot be cut."""
    others = frozenset(i for i in range(len(messages)) if i != turn.index)
    compression = runtime.prepare_compression(messages, "ingest", others, expansions)
    before = runtime.counter.count_context(compression.context)
    try:
        compression.run(before, before - excess)
    except BudgetTooSmallError:
        return None
    runtime.warn(*compression.warnings)
    return {path: text for (index, path), text in compression.edits.items() if index == turn.index}
