"""Groups turns that must stay together, which tells where a history may be cut."""

from __future__ import annotations

from collections.abc import Sequence

from compressor.context.model import Turn


def group_tool_rounds(turns: Sequence[Turn]) -> list[list[int]]:
    """Groups turns that must stay or go together.

    A group is what an agent said and called in one step, with the results of the calls. Some message formats write the
    thinking, words and calls of one step as separate items. Any other turn is a group of its own.

    Args:
        turns: The turns of a context.

    Returns:
        Groups of turn indices, in order.
    """
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
    """Finds the tool round that neither the assistant nor the user has spoken after yet.

    Args:
        turns: The turns of a context.

    Returns:
        The indices of its assistant turns; empty if no round is open.
    """
    indices: set[int] = set()
    for turn in reversed(turns):
        if turn.role == "assistant":
            if not turn.call_ids and indices:
                # Some message formats write thinking, words and calls of one step as separate items.
                indices.add(turn.index)
                continue
            if not turn.call_ids:
                break
            indices.add(turn.index)
        elif turn.role == "tool" and not indices:
            continue
        else:
            break
    return indices
