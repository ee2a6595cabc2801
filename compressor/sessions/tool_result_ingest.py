"""Compresses tool results once, when their round is complete, against the call that asked for them and the task.

Works on one round at a time and sees nothing else of the history, so that it takes the same time at any length. Folds
what can be folded without loss; cuts what is longer than the policy allows; what the agent has asked back stays whole.
Decides nothing later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compressor.context.model import Slot, Turn
from compressor.context.refs import MARK_RE, mark, ref_of
from compressor.errors import BudgetTooSmall
from compressor.sessions.expand_tool import NAME
from compressor.sessions.runtime import Edits, Kit
from compressor.storage.text_values import put_texts
from compressor.text.layout_cache import layout_of
from compressor.text.lossless import LITERAL, fold
from compressor.text.lossless.json_tables import fold_parsed
from compressor.text.segmenters.json import JsonLayout

FOLD_FROM = 100  # tokens below which a fold saves too little to be worth another notation
FOLD_GAIN = 0.9  # a folded text has at most this share of the tokens
SAME_FROM = 60  # tokens of a result that is told apart from an earlier one by a note


_SAME = "[the same text as the result of call "


def names_another(text: str) -> bool:
    """Whether a text stands for another result in the view."""
    return text.startswith(_SAME)


def give_birth(
    kit: Kit, messages: Sequence[Any], results: Sequence[int], regrets: Sequence[str], earlier: Mapping[str, str]
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
            if slot.kind != "tool_result" or not slot.editable or MARK_RE.search(slot.text) or slot.name == NAME:
                continue
            rule = kit.policy.rule(slot.name)
            if rule.keep:
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


def _small(kit: Kit, slot: Slot, earlier: Mapping[str, str]) -> tuple[str | None, int]:
    """A shorter text that says the same, if there is one, and by how many tokens it is still over what it may have."""
    tokens = kit.counter.count(slot.text)
    if tokens >= SAME_FROM and slot.text in earlier:
        put_texts(kit.store(), {(ref := ref_of(slot.text)): slot.text})
        return f"{_SAME}{earlier[slot.text]}] {mark(ref)}", 0
    folded, after = None, tokens
    if tokens >= FOLD_FROM:
        folded = lossless(slot.text)
        if folded is not None and (short := kit.counter.count(folded)) <= FOLD_GAIN * tokens:
            after = short
        else:
            folded = None
    most = target(kit, slot, tokens)
    return folded, tokens - most if after > most else 0


def target(kit: Kit, slot: Slot, tokens: int) -> int:
    """How many tokens a result of that many may have."""
    policy, rule = kit.policy, kit.policy.rule(slot.name)
    if rule.most is not None:
        return min(tokens, rule.most)
    return min(tokens, policy.ingest_most, max(policy.ingest_from, int(policy.ingest_share * tokens)))


def lossless(text: str) -> str | None:
    """A text's own lossless form that still holds every path and line number for the agent to copy; None if it has none
    that is shorter. Needs no other text."""
    layout = layout_of(text, "tool_result", "")
    if isinstance(layout, JsonLayout):
        return fold_parsed(text, layout.parsed)
    folded, names = fold(text, folds=LITERAL)
    return folded if names else None


def _cut(kit: Kit, messages: Sequence[Any], turn: Turn, excess: int, regrets: Sequence[str]) -> Edits | None:
    """The edits of one message that is `excess` tokens too long; None if it cannot be cut."""
    others = frozenset(i for i in range(len(messages)) if i != turn.index)
    flow = kit.flow(messages, "ingest", others, regrets)
    before = kit.counter.context(flow.context)
    try:
        flow.run(before, before - excess)
    except BudgetTooSmall:
        return None
    kit.warn(*flow.warnings)
    return {path: text for (index, path), text in flow.edits.items() if index == turn.index}
