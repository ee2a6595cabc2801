"""Which turns can only go together: where a history may be cut. Knows turns; cuts nothing."""

from __future__ import annotations

from collections.abc import Sequence

from compressor.context.model import Turn


def group_tool_rounds(turns: Sequence[Turn]) -> list[list[int]]:
    """Turns in groups that can only go together: what an agent said and called in one step (some dialects write its
    thinking, words and calls as separate items) and the results; any other turn alone. Indices, in order."""
    groups: list[list[int]] = []
    callers: dict[str, list[int]] = {}
    previous = ""
    for turn in turns:
        group = next((callers[a] for a in turn.result_call_ids if a in callers), None)
        if group is None and groups and (turn.role == "tool" or turn.role == previous == "assistant"):
            group = groups[-1]
        if group is None:
            group = []
            groups.append(group)
        group.append(turn.index)
        for call in turn.call_ids:
            callers[call] = group
        previous = turn.role
    return groups


def open_tool_round(turns: Sequence[Turn]) -> set[int]:
    """Indices of the assistant turns of the round that has no assistant or user word after its results yet."""
    out: set[int] = set()
    for turn in reversed(turns):
        if turn.role == "assistant":
            if not turn.call_ids and out:
                # Some dialects write thinking, words and calls of one step as separate items.
                out.add(turn.index)
                continue
            if not turn.call_ids:
                break
            out.add(turn.index)
        elif turn.role == "tool" and not out:
            continue
        else:
            break
    return out
